import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { judge } from './interop/judge.ts'
import { programs } from './interop/languages.ts'
import { isOutOfReach } from './interop/out-of-reach.ts'
import { pages } from './support/pages.ts'

// docs/verify.md shows code that somebody will copy. It is the code that `npm run test:interop` runs.

const root = join(import.meta.dirname, '..')
const page = 'docs/verify.md'
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const text = read(page)
const vectors = JSON.parse(read('sdk/verifier/vectors.json')) as Record<'valid' | 'bad', { optional?: true }[]>

interface Block {
  code: string
  /** What the line before it links to, from the root. */
  file?: string
}

const blocks: Block[] = [...text.matchAll(/^(.*)\n\n```\w*\n([\s\S]*?)^```$/gm)].map(([, before = '', code = '']) => {
  const target = /^\[[^\]]+\]\(([^)]+)\)$/.exec(before)?.[1]
  return target === undefined ? { code } : { code, file: join(dirname(page), target) }
})

/** Of the section of a program, up to the next heading. */
const sectionOf = (title: string): string =>
  text.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? ''

/** Cells of its line in the table of results. */
const rowOf = (title: string): string[] =>
  text
    .split('\n')
    .find((line) => line.startsWith(`| ${title} |`))
    ?.split('|')
    .map((cell) => cell.trim()) ?? []

describe('docs/verify.md', () => {
  test('has no block of code that is not a file', () => {
    expect(text.match(/^```\w+$/gm)?.length).toBe(blocks.length)
    expect(blocks.filter(({ file }) => file === undefined)).toEqual([])
  })

  test.each(blocks)('shows $file as it is', ({ file = '', code }) => {
    expect(code).toBe(read(file))
  })

  const kinds = (list: { optional?: true }[]) => list.filter(({ optional }) => !optional).length
  const all = [...vectors.valid, ...vectors.bad]

  test.each(programs)('states of $title what the run shows', ({ title, known }) => {
    const [, , , live, good, bad, open, exceptions] = rowOf(title)
    expect(live).toBe('accepted')
    expect(good).toMatch(new RegExp(`^\\d+ of ${kinds(vectors.valid)}$`))
    expect(bad).toMatch(new RegExp(`^\\d+ of ${kinds(vectors.bad)}$`))
    expect(open).toMatch(new RegExp(`^\\d+ of ${all.length - kinds(all)}$`))
    const wrong = (cell = '') => Number(cell.split(' of ')[1]) - Number(cell.split(' of ')[0])
    expect(wrong(good) + wrong(bad)).toBe(Object.keys(known).length)
    expect(exceptions).toBe(Object.keys(known).join(', '))
    for (const name of Object.keys(known)) expect(sectionOf(title)).toContain(`\`${name}\``)
    expect(sectionOf(title)).toContain('```')
  })
})

test('every page that shows an audience says which setting of the issuer it is', () => {
  const sections = pages.flatMap((each) =>
    read(each)
      .split(/^(?=#+ )/m)
      .map((section) => ({ page: each, section })),
  )
  const shown = sections.filter(({ section }) => /\baudience: ?['"]/.test(section))
  expect(shown.length).toBeGreaterThan(5)
  expect(shown.filter(({ section }) => !section.includes('AUDIENCE')).map(({ section }) => section)).toEqual([])
})

describe('the run of other languages', () => {
  const expected = [
    { name: 'good', accept: true },
    { name: 'bad', accept: false },
    { name: 'open', accept: false, optional: true },
  ]
  const verdicts = (good: boolean, bad: boolean, open: boolean) => [
    { name: 'good', accepted: good },
    { name: 'bad', accepted: bad },
    { name: 'open', accepted: open },
  ]
  const surprises = (known: Record<string, string>, ...given: [boolean, boolean, boolean]) =>
    judge(expected, verdicts(...given), known).surprises

  test('passes what judges rightly, whatever it makes of what the standards leave open', () => {
    expect(surprises({}, true, false, false)).toEqual([])
    expect(surprises({}, true, false, true)).toEqual([])
  })

  test('fails what accepts a bad token or refuses a good one, unless that is known', () => {
    expect(surprises({}, true, true, false)).toEqual(['bad: accepted'])
    expect(surprises({}, false, false, false)).toEqual(['good: refused (no reason given)'])
    expect(surprises({ bad: 'a reason' }, true, true, false)).toEqual([])
  })

  test('fails a known exception that has gone, or that is of no vector', () => {
    expect(surprises({ bad: 'a reason' }, true, false, false)).toHaveLength(1)
    expect(surprises({ other: 'a reason' }, true, false, false)).toHaveLength(1)
  })

  test('fails missing verdicts, and those in another order', () => {
    expect(judge(expected, verdicts(true, false, false).slice(0, 2), {}).surprises).toHaveLength(2)
    expect(judge(expected, verdicts(true, false, false).toReversed(), {}).surprises).toHaveLength(2)
  })

  test('skips what cannot be downloaded, but never a file that is not the one of the lock', () => {
    expect(isOutOfReach('pip install --require-hashes ended with 1:\nERROR: No matching distribution found')).toBe(true)
    expect(isOutOfReach('Get "https://proxy.golang.org/…": dial tcp: connection refused')).toBe(true)
    expect(isOutOfReach('THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. (403)')).toBe(false)
    expect(isOutOfReach('oidc/verify.go:13:2: undefined: foo')).toBe(false)
  })
})
