import { dirname, posix } from 'node:path'

/** The text of each file of the tree, by path; empty if it is not searched. */
export type Tree = ReadonlyMap<string, string>

/** Tests that examine the tree itself, so that every change concerns them. */
export const OF_THE_TREE = [
  'architecture',
  'conformance',
  'docs',
  'docs-architecture',
  'docs-references',
  'docs-verify',
  'portability',
].map((name) => `test/${name}.test.ts`)
/** Files that every test depends on. */
const RUN_BY = ['vitest.config.ts', 'package-lock.json']

/**
 * The test files that a change concerns, nearest first: those that were changed, those named after a changed file, then
 * by the number of steps from file to file. A step is an import, or the path of a file in a string, such as a program
 * that a test starts or a page that it reads. Vitest's own `--changed` knows only imports.
 */
export function concerned(tree: Tree, changed: readonly string[]): string[] {
  const tests = [...tree.keys()].filter(isTest)
  const named = namedBy(tree, changed)
  const steps = stepsTo(changed, named)
  const mirrors = new Set(changed.map(mirrorOf))
  const rooms = new Set(changed.map(roomOf))
  const nearness = (test: string): number => {
    if (changed.includes(test)) return 0
    if (mirrors.has(test)) return 1
    if (changed.length > 0 && OF_THE_TREE.includes(test)) return 2
    return 2 + (steps.get(test) ?? Number.POSITIVE_INFINITY) + (rooms.has(roomOf(test)) ? 0 : 0.5)
  }
  return tests
    .map((test) => ({ test, nearness: nearness(test) }))
    .filter((each) => each.nearness < Number.POSITIVE_INFINITY)
    .toSorted((a, b) => a.nearness - b.nearness || (a.test < b.test ? -1 : 1))
    .map(({ test }) => test)
}

/** As many of the tests as finish in time, nearest first. @param secondsOf how long each takes by itself. */
export function fitting(
  tests: readonly string[],
  seconds: number,
  secondsOf: (test: string) => number,
): { chosen: string[]; left: string[] } {
  const chosen: string[] = []
  const left: string[] = []
  let spent = 0
  for (const test of tests) {
    const fits = spent + secondsOf(test) <= seconds
    if (fits) spent += secondsOf(test)
    ;(fits ? chosen : left).push(test)
  }
  return { chosen, left }
}

/** For each file, or folder of a package, those that name it. */
function namedBy(tree: Tree, changed: readonly string[]): Map<string, Set<string>> {
  const known = new Set([...tree.keys(), ...changed])
  const folders = new Set([...known].flatMap(foldersOf))
  const named = new Map<string, Set<string>>()
  for (const [path, text] of tree) {
    for (const target of namesIn(path, text, known, folders)) {
      const by = named.get(target) ?? new Set()
      named.set(target, by.add(path))
    }
  }
  return named
}

function namesIn(path: string, text: string, known: Set<string>, folders: Set<string>): string[] {
  // Type-only imports are left to the compiler.
  const code = text.replace(/^import type [^;]*? from .*$/gm, '')
  const names = [...code.matchAll(/(['"`])([\w.@/-]+)\1/g)].flatMap(([, , literal = '']) => {
    const folder = packageFolder(literal, folders)
    const places = folder ? [folder] : [posix.join(dirname(path), literal), posix.normalize(literal)]
    return (
      places
        .map((place) => place.replace(/\/$/, ''))
        // A bare word such as 'test' may be a folder by chance.
        .filter((place) => known.has(place) || (literal.includes('/') && folders.has(place)))
    )
  })
  return isTest(path) ? [...names, ...RUN_BY] : names
}

/** Our own packages are imported by name. */
function packageFolder(literal: string, folders: Set<string>): string | undefined {
  const [, name] = /^@claviger\/([\w-]+)/.exec(literal) ?? []
  return name !== undefined && folders.has(`sdk/${name}`) ? `sdk/${name}` : undefined
}

/** How many steps each file is from what was changed, breadth first. */
function stepsTo(changed: readonly string[], named: Map<string, Set<string>>): Map<string, number> {
  const steps = new Map(changed.map((path) => [path, 0]))
  let edge = [...changed]
  for (let count = 1; edge.length > 0; count++) {
    // Nothing depends on a test.
    const next = edge
      .filter((path) => !isTest(path))
      .flatMap((path) => [path, ...foldersOf(path)].flatMap((place) => [...(named.get(place) ?? [])]))
    edge = [...new Set(next)].filter((path) => !steps.has(path))
    for (const path of edge) steps.set(path, count)
  }
  return steps
}

/** The folders above it, except the root. */
function foldersOf(path: string): string[] {
  const folder = dirname(path)
  return folder === '.' ? [] : [folder, ...foldersOf(folder)]
}

function mirrorOf(path: string): string {
  return path.replace(/^src\/(.*)\.ts$/, 'test/$1.test.ts')
}

function roomOf(path: string): string {
  return path.split('/')[1] ?? path
}

function isTest(path: string): boolean {
  return /^test\/.*\.test\.ts$/.test(path)
}
