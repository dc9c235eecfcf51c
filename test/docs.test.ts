import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Config, settings } from '../src/config/config.ts'
import { RIGHTS } from '../src/db/grants.ts'
import { prunings } from '../src/deps.ts'
import { problems } from '../src/errors.ts'
import { files, pages, read } from './support/pages.ts'

// What people read must be true: settings, codes, links and commands are compared with the code.

const example = read('.env.example')
const reference = read('docs/reference.md')

const sorted = (items: string[]): string[] => items.toSorted((a, b) => (a < b ? -1 : 1))

interface Entry {
  name: string
  value: string
  comment: string
}

/** `#NAME=value` lines with the comment above them; entries that follow each other share it. */
function entriesOf(text: string): Entry[] {
  return text.split(/\n\n+/).flatMap((block) => {
    const lines = block.split('\n')
    const comment = lines
      .filter((line) => line.startsWith('# '))
      .map((line) => line.slice(2))
      .join(' ')
    return lines.flatMap((line) => {
      const [, name, value] = /^#([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? []
      return name === undefined || value === undefined ? [] : [{ name, value, comment }]
    })
  })
}

const entries = entriesOf(example)
const bases = Object.entries(settings)

describe('.env.example', () => {
  test('names every setting once, the file form of every secret, and nothing else', () => {
    const expected = bases.flatMap(([name, setting]) => (setting.secret ? [name, `${name}_FILE`] : [name]))
    expect(sorted(entries.map((entry) => entry.name))).toEqual(sorted(expected))
  })

  test('changes nothing when it is copied', () => {
    const active = example.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(active).toEqual([])
  })

  // Their default is of the machine or of another setting; the comment says which.
  const dependent = ['HASH_CONCURRENCY']

  test.each(bases)('%s has its true default', (name, setting) => {
    const value = entries.find((entry) => entry.name === name)?.value
    const fallback = setting.parse(undefined) as string | number | boolean | string[] | undefined
    if (fallback === undefined || (Array.isArray(fallback) && fallback.length === 0) || dependent.includes(name)) {
      expect(value).toBe('')
    } else {
      expect(value).toBe(String(fallback))
    }
  })

  test.each(bases.filter(([, setting]) => typeof setting.parse(undefined) === 'number'))(
    '%s states its true bounds',
    (name, setting) => {
      const comment = entries.find((entry) => entry.name === name)?.comment ?? ''
      const [, low, high] = /(\d+) to (\d+)/.exec(comment) ?? []
      expect([setting.parse(low), setting.parse(high)]).toEqual([Number(low), Number(high)])
      expect(() => setting.parse(String(Number(low) - 1))).toThrow('number from')
      expect(() => setting.parse(String(Number(high) + 1))).toThrow('number from')
    },
  )

  test.each(bases.filter(([, setting]) => /one of|true or false/.test(refusalOf(setting))))(
    '%s lists its true choices',
    (name, setting) => {
      const comment = entries.find((entry) => entry.name === name)?.comment ?? ''
      const choices = /One of: ([a-z0-9, ]+)\./.exec(comment)?.[1]?.split(', ')
      expect(choices).toEqual(
        refusalOf(setting)
          .replace(/^must be (one of )?/, '')
          .split(/, | or /),
      )
    },
  )
})

function refusalOf(setting: { parse(raw: string): unknown }): string {
  try {
    setting.parse('?')
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

describe('the reference', () => {
  const rows = [...reference.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \| (?:`([^`]*)`)?/gm)].map(([, name = '', value]) => ({
    name,
    value,
  }))

  test('has every setting in its table, with the true default where it states one', () => {
    expect(sorted(rows.map((row) => row.name))).toEqual(sorted(Object.keys(settings)))
    for (const { name, value } of rows) {
      if (value !== undefined)
        expect([name, value]).toEqual([name, entries.find((entry) => entry.name === name)?.value])
    }
  })
})

test('the log inventory lists every message that the server writes', () => {
  const inventory = read('docs/operations.md')
  const sources = files.filter((path) => /^src\/.*\.ts$/.test(path))
  const messages = sources.flatMap((path) =>
    [...read(path).matchAll(/\.(?:info|warn|error|fatal)\((?:\{[^{}]*\},\s*)?'([^']+)'/g)].map(([, text = '']) => text),
  )
  expect(messages.length).toBeGreaterThan(15)
  expect(messages.filter((message) => !inventory.includes(`\`${message}\``))).toEqual([])
})

test('the table of metrics lists every metric that the server has', () => {
  const inventory = read('docs/operations.md')
  const names = ['src/metrics.ts', 'src/http/server/metrics.ts'].flatMap(
    (path) => read(path).match(/claviger_[a-z_]+/g) ?? [],
  )
  expect(names.length).toBeGreaterThan(10)
  expect(names.filter((name) => !inventory.includes(`\`${name}`))).toEqual([])
  const alerted = read('docs/alerts.yml').match(/claviger_[a-z_]+/g) ?? []
  expect(alerted.filter((name) => !names.includes(name.replace(/_(count|sum|bucket)$/, '')))).toEqual([])
})

test('the table of rights grants what the serving role is granted', () => {
  const words: Record<string, string> = { SELECT: 'read', INSERT: 'insert', UPDATE: 'update', DELETE: 'delete' }
  const rows = [...read('docs/operations.md').matchAll(/^\| (`\w+`(?:, `\w+`)*) \| everything \| ([a-z, ]+)/gm)]
  const told = rows.flatMap(([, tables = '', rights = '']) =>
    [...tables.matchAll(/\w+/g)].map(([table]) => [table, rights.trim().split(/, | and /)]),
  )
  const granted = Object.entries(RIGHTS).map(([table, rights]) => [
    table,
    rights.split(', ').map((right) => words[right]),
  ])
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(granted))
})

test('the section on pruning names every table that is pruned', () => {
  const [, section = ''] = /^## Pruning\n([\s\S]*?)^## /m.exec(read('docs/operations.md')) ?? []
  const tables = prunings({ AUDIT_RETENTION_DAYS: 365 } as Config).map(({ table }) => table)
  expect(tables.length).toBeGreaterThan(3)
  expect(tables.filter((table) => !section.includes(`\`${table}\``))).toEqual([])
})

test('the changelog has the form of Keep a Changelog, and what is not released is on top', () => {
  const headings = [...read('CHANGELOG.md').matchAll(/^(##+) (.+)$/gm)].map(([, level, text = '']) => ({ level, text }))
  const versions = headings.filter(({ level }) => level === '##').map(({ text }) => text)
  expect(versions[0]).toBe('Unreleased')
  for (const version of versions.slice(1)) expect(version).toMatch(/^\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d$/)
  const kinds = headings.filter(({ level }) => level === '###').map(({ text }) => text)
  expect(kinds.filter((kind) => !/^(Added|Changed|Deprecated|Removed|Fixed|Security)$/.test(kind))).toEqual([])
})

test('no page names a setting that does not exist', () => {
  const known = new Set(entries.map((entry) => entry.name))
  // Variables of tools and tests, words in capitals that are no settings; settings of Supabase Auth in the comparison.
  const others = new Set([
    'UV_THREADPOOL_SIZE',
    'MALLOC_ARENA_MAX',
    'TEST_POSTGRES',
    'TEST_DATABASE_URL',
    'NODE_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'POSTGRES_PASSWORD',
    // Of docker-compose.yml.
    'CLAVIGER_PORT',
    // Of the demo.
    'DEMO_ISSUER_PORT',
    'ORDERS_PORT',
    'SPA_PORT',
    // Of a site on Next.js.
    'SESSION_SECRET',
    // Of services that are clients.
    'CLIENT_ID',
    'CLIENT_SECRET',
    'PUBLIC_URL',
  ])
  const found = pages.flatMap((page) =>
    [...read(page).matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`/g)].map(([, name = '']) => ({ page, name })),
  )
  const foreign = (name: string) => others.has(name) || name.startsWith('GOTRUE_')
  expect(found.filter(({ name }) => !known.has(name) && !foreign(name))).toEqual([])
})

test('the reference explains every problem code with its true status, and no other', () => {
  const table = [...reference.matchAll(/^\| (\d{3}) \| `([a-z_]+)` \|/gm)].map(
    ([, status, code]) => `${status} ${code}`,
  )
  const expected = Object.entries(problems).map(([code, { status }]) => `${status} ${code}`)
  expect(sorted(table)).toEqual(sorted(expected))
})

test('every relative link of every page leads somewhere', () => {
  const dead = pages.flatMap((page) =>
    // An indented block shows what a page may look like.
    [
      ...read(page)
        .replace(/^ {4}.*$/gm, '')
        .matchAll(/\]\(([^)\s]+)\)/g),
    ].flatMap(([, target = '']) => {
      if (/^[a-z]+:/.test(target)) return []
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      if (!files.includes(file.replace(/\/$/, ''))) return [`${page}: ${target}`]
      return anchor === undefined || anchorsOf(read(file)).has(anchor) ? [] : [`${page}: ${target}`]
    }),
  )
  expect(dead).toEqual([])
})

/** As GitHub makes them from headings. */
function anchorsOf(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  )
}

test('every npm script that a page names exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/npm run ([a-z][a-z0-9:-]*)/g)].map(([, name = '']) => name),
  )
  expect([...new Set(named)].filter((name) => !(name in scripts))).toEqual([])
})
