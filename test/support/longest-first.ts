import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { DURATIONS } from './durations.ts'

/** A file of two minutes that starts last costs a minute, and a fresh clone has no record of earlier runs to know it by. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const seconds = ({ moduleId, project }: TestSpecification) =>
      DURATIONS[moduleId.slice(project.config.root.length + 1)] ?? 0
    return files.toSorted((a, b) => seconds(b) - seconds(a))
  }
}
