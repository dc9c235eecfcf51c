import { BaseSequencer, type Reporter, type TestModule, type TestSpecification } from 'vitest/node'
import { DURATIONS } from './durations.ts'

/** A file of two minutes that starts last costs a minute, and a fresh clone has no record of earlier runs to know it by. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const seconds = ({ moduleId, project }: TestSpecification) =>
      DURATIONS[moduleId.slice(project.config.root.length + 1)] ?? 0
    return files.toSorted((a, b) => seconds(b) - seconds(a))
  }
}

/** From here on, when a file begins decides about when the run ends. */
const LONG_SECONDS = 20

/** Says which long files begin last because the table does not know them. */
export class NameUnknown implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const each of modules) {
      const seconds = Math.round(each.diagnostic().duration / 1000)
      if (seconds >= LONG_SECONDS && !(each.relativeModuleId in DURATIONS))
        console.log(`${each.relativeModuleId} took ${seconds} s: test/support/durations.ts should name it`)
    }
  }
}
