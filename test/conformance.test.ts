import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** Requirements of the core: what must hold before anybody is told to use this. */
const CORE = [
  ...range(1, 9),
  ...range(13, 24),
  ...range(26, 30),
  ...range(32, 38),
  40,
  42,
  ...range(43, 65),
  ...range(67, 82),
  ...range(86, 98),
  ...range(100, 107),
  ...range(111, 117),
  ...range(120, 132),
  ...range(143, 150),
  ...range(158, 161),
  163,
  165,
  166,
  ...range(168, 170),
  ...range(172, 175),
  177,
  178,
]

interface Row {
  requirement: number
  /** What stands in the last column, one entry a line. */
  shownBy: string[]
}

const OPEN = 'no test yet'
const EXPLAINED = /^\*\*(differs|not offered|outside)\*\*: \S/

function rowsOf(page: string): Row[] {
  return [...page.matchAll(/^\| REQ-(\d+) \| [^|]+ \| ([^|]+) \|$/gm)].map(([, number, shown = '']) => ({
    requirement: Number(number),
    shownBy: shown.split('<br>').map((entry) => entry.trim()),
  }))
}

/** What is wrong with an entry; undefined if nothing is. @param read the source of a file under test/, if there is one. */
function faultOf(entry: string, read: (file: string) => string | undefined): string | undefined {
  if (entry === OPEN || EXPLAINED.test(entry)) return undefined
  const [, file, title] = /^`([\w/.-]+\.test\.ts)` › (.+)$/.exec(entry) ?? []
  if (file === undefined || title === undefined) return `${entry}: neither a test nor an explanation`
  const source = read(file)
  if (source === undefined) return `${entry}: there is no such file`
  return titlesOf(source).has(title) ? undefined : `${entry}: there is no such test`
}

/** Titles as written, with the placeholders of tables, and the names of the cases in tables: strings that begin a list. */
function titlesOf(source: string): Set<string> {
  const first = /(?:\(|\[|\bname:)\s*('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)\s*,/g
  return new Set([...source.matchAll(first)].map(([, quoted = '']) => quoted.slice(1, -1).replace(/\\(['"`])/g, '$1')))
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

const rows = rowsOf(readFileSync(join(import.meta.dirname, '../docs/conformance.md'), 'utf8'))

function readTest(file: string): string | undefined {
  const path = join(import.meta.dirname, file)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

test('docs/conformance.md has one row for every requirement of the core', () => {
  expect(rows.map((row) => row.requirement)).toEqual(CORE)
})

test('every test that it names exists', () => {
  expect(rows.flatMap((row) => row.shownBy.flatMap((entry) => faultOf(entry, readTest) ?? []))).toEqual([])
})

test('no row is open', () => {
  expect(rows.filter((row) => row.shownBy.includes(OPEN)).map((row) => `REQ-${row.requirement}`)).toEqual([])
})

test('the check sees a missing file, a missing test and an empty excuse', () => {
  const read = (file: string) =>
    file === 'a.test.ts' ? "test('holds', () => {})\ntest.each([\n  [1],\n])('%i holds', () => {})" : undefined
  expect(faultOf('`a.test.ts` › holds', read)).toBeUndefined()
  expect(faultOf('`a.test.ts` › %i holds', read)).toBeUndefined()
  expect(faultOf('`a.test.ts` › hold', read)).toContain('no such test')
  expect(faultOf('`b.test.ts` › holds', read)).toContain('no such file')
  expect(faultOf('**differs**: ', read)).toContain('neither')
  expect(faultOf('somebody checked it', read)).toContain('neither')
  expect(rowsOf('| REQ-7 | words | `a.test.ts` › one<br>**differs**: why |')).toEqual([
    { requirement: 7, shownBy: ['`a.test.ts` › one', '**differs**: why'] },
  ])
})
