// npm run quick: types, lint and the tests nearest to a change of the working tree, in about a minute. `npm test`,
// `npm run test:processes` and `npm run test:browser` run all.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DURATIONS, USUAL } from '../test/support/durations.ts'
import { concerned, fitting, type Tree } from './quick/concerned.ts'

const root = join(import.meta.dirname, '..')
/** The folders that `npm run check` checks. */
const CODE = ['src', 'test', 'dev', 'docker', 'bench', 'sdk', 'examples']
/** The part of a minute that is left for tests: types and lint take ten seconds, PostgreSQL five. */
const SECONDS = 36
/** Seconds of test files, as they are recorded, that two cores get through in one. */
const WORKERS = 3
/** As `npm run build` has them. */
const PACKAGES = ['sdk/browser', 'sdk/verifier', 'sdk/server']

function git(...args: string[]): string[] {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .split(/\0|\n$/)
    .filter(Boolean)
}

/** The files that are not committed; in a clean tree, those that the branch changes against main. */
function findChange(): { since: string; changed: string[] } {
  const open = [...git('diff', '--name-only', '-z', 'HEAD'), ...git('ls-files', '-z', '--others', '--exclude-standard')]
  if (open.length > 0) return { since: 'HEAD', changed: open }
  try {
    return { since: 'main', changed: git('diff', '--name-only', '-z', 'main...HEAD') }
  } catch {
    return { since: 'HEAD', changed: [] } // there is no branch of that name
  }
}

function readTree(): Tree {
  const paths = git('ls-files', '-z', '--cached', '--others', '--exclude-standard')
  const present = paths.filter((path) => existsSync(join(root, path)))
  const textOf = (path: string) => (/\.(ts|tsx|mjs)$/.test(path) ? readFileSync(join(root, path), 'utf8') : '')
  return new Map(present.map((path) => [path, textOf(path)]))
}

/** @returns whether it succeeded. Its output is shown when it ends, so that steps that run together do not mix. */
async function step(name: string, script: string[], stdio: 'pipe' | 'inherit' = 'pipe'): Promise<boolean> {
  const started = performance.now()
  const child = spawn(process.execPath, script, { cwd: root, stdio: ['ignore', stdio, stdio] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
  const code = await new Promise<number | null>((done) => child.once('close', done))
  const seconds = Math.round((performance.now() - started) / 1000)
  if (code !== 0 && output) console.log(output)
  console.log(`${name}: ${code === 0 ? 'passed' : 'FAILED'} in ${seconds} s`)
  return code === 0
}

const bin = (name: string) => join(root, 'node_modules', '.bin', name)
const started = performance.now()
const { since, changed } = findChange()
console.log(`${changed.length} files changed since ${since}`)
// First, because the examples are checked against what is built.
const passed: boolean[] = []
for (const path of PACKAGES) passed.push(await step(path, [bin('tsc'), '-p', path]))
const checked = await Promise.all([
  step('types', [bin('tsc')]),
  step('lint', [bin('oxlint'), '--type-aware', ...CODE]),
  step('format', [bin('biome'), 'check', ...CODE]),
])
passed.push(...checked)
const tests = concerned(readTree(), changed)
const { chosen, left } = fitting(tests, SECONDS * WORKERS, (test) => DURATIONS[test] ?? USUAL)
console.log(`tests: ${tests.length} files are concerned, ${chosen.length} of them run`)
if (chosen.length > 0) {
  passed.push(await step('tests', [bin('vitest'), 'run', ...chosen], 'inherit'))
}
const names = left.map((path) => path.replace(/^test\/|\.test\.ts$/g, ''))
if (left.length > 0) console.log(`left for npm test, test:processes and test:browser: ${names.join(', ')}`)
const ok = passed.every(Boolean)
console.log(`quick: ${ok ? 'passed' : 'FAILED'} in ${Math.round((performance.now() - started) / 1000)} s`)
process.exitCode = ok ? 0 : 1
