import { expect, test } from 'vitest'
import { files, read } from './support/pages.ts'

// docs/architecture.md is what new people read first: its diagrams and tables are held to the code.

const page = read('docs/architecture.md')
const sources = files.filter((path) => /^src\/.*\.ts$/.test(path))

const blocks = (text: string): string[] =>
  [...text.matchAll(/^```mermaid\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block)

/** Calls in a sequence diagram, `A->>B: name()`, whose name the receiving file does not declare; and files that are not there. */
function faultsOf(diagram: string): string[] {
  const labels = new Map(
    [...diagram.matchAll(/^ *participant (\w+) as (.+)$/gm)].map(([, id = '', label = '']) => [id, label]),
  )
  const inFiles = [...labels.values()].filter((label) => label.endsWith('.ts'))
  const calls = [...diagram.matchAll(/^ *\w+-{1,2}>>(\w+): (.+)$/gm)].flatMap(([, to = '', text = '']) =>
    [...text.matchAll(/(\w+)\(\)/g)].map(([, name = '']) => ({ name, file: labels.get(to) ?? to })),
  )
  return [
    ...inFiles.filter((file) => !sources.includes(`src/${file}`)),
    ...calls.filter(({ name, file }) => !declares(`src/${file}`, name)).map(({ name, file }) => `${name} in ${file}`),
  ]
}

function declares(path: string, name: string): boolean {
  return sources.includes(path) && RegExp(`(?:function|const) ${name}\\b|^ +${name}(?:: |\\()`, 'm').test(read(path))
}

test('every file of a diagram exists and declares the functions that are called in it', () => {
  expect(blocks(page)).toHaveLength(3)
  expect(blocks(page).flatMap(faultsOf)).toEqual([])
  expect(
    blocks(page)
      .join('')
      .match(/\w+\(\)/g)?.length,
  ).toBeGreaterThan(15)
})

test.each([
  ['participant A as sessions/revolve.ts', ['sessions/revolve.ts']],
  ['participant A as sessions/rotation.ts\nB->>A: decode() it', ['decode in sessions/rotation.ts']],
  ['participant A as sessions/rotation.ts\nA->>A: decide() it', []],
])('the check sees what a diagram has wrong: %s', (diagram, faults) => {
  expect(faultsOf(diagram)).toEqual(faults)
})

/** The first two cells of every row of the table under a heading. */
const rowsUnder = (heading: string): [string, string][] => {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `(.+?)`.* \|$/gm)].map(([row]) => {
    const [, first = '', second = ''] = row.split('|').map((cell) => cell.trim())
    return [first.replaceAll('`', ''), second]
  })
}

test('both pages for new people tell the order of imports as it is held', () => {
  const [, table = ''] = /const FEATURES = \[([^\]]+)\]/.exec(read('test/architecture.test.ts')) ?? []
  const order = [...table.matchAll(/'([\w-]+)'/g)].map(([, name]) => name).join(' → ')
  expect(order).toContain('sessions')
  for (const path of ['docs/architecture.md', 'CONTRIBUTING.md'])
    expect(read(path).replace(/\s+/g, ' ')).toContain(order)
})

test('every room is described', () => {
  const rooms = new Set(sources.map((path) => path.split('/')[1] ?? '').filter((name) => !name.endsWith('.ts')))
  const undescribed = [...rooms].filter((room) => !page.includes(`\`${room}/\``))
  expect(undescribed).toEqual([])
})

test('every table is there, and nobody writes to it but those who are said to', () => {
  const owners = new Map(
    rowsUnder('Tables').map(([table, by]) => [table, [...by.matchAll(/`([\w/-]+\/)`/g)].map(([, room]) => room ?? '')]),
  )
  const schema = /export interface Schema \{\n([\s\S]*?)\n\}/.exec(read('src/db/schema.ts'))?.[1] ?? ''
  expect([...owners.keys()].toSorted()).toEqual([...schema.matchAll(/(\w+):/g)].map(([, name = '']) => name).toSorted())
  const writes = sources.flatMap((path) =>
    [...read(path).matchAll(/(?:updateTable|insertInto|deleteFrom)\('(\w+)'|(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)/g)]
      .map(([, built, written]) => built ?? written ?? '')
      .filter((table) => owners.has(table))
      .map((table) => ({ path, table })),
  )
  expect(writes.length).toBeGreaterThan(20)
  // It changes nothing: it asks whether it could.
  const others = writes.filter(({ path }) => path !== 'src/db/write-probe.ts')
  const strangers = others.filter(
    ({ path, table }) => !owners.get(table)?.some((room) => path.startsWith(`src/${room}`)),
  )
  expect(strangers).toEqual([])
})
