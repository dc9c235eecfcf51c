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

/** The rooms that the table of tables names as owners of each, and those that it names as other readers. */
const tables = new Map(
  [...page.matchAll(/^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$/gm)].map(([, table = '', owners = '', readers = '']) => [
    table,
    { owners: roomsIn(owners), readers: roomsIn(readers) },
  ]),
)

function roomsIn(cell: string): string[] {
  return [...cell.matchAll(/`([\w/-]+\/)`/g)].map(([, room = '']) => `src/${room}`)
}

/** Where sources name a table in a statement. @param pattern has the name in one of its groups. */
const uses = (pattern: RegExp) =>
  sources.flatMap((path) =>
    [...read(path).matchAll(pattern)]
      .map(([, ...names]) => names.find((name) => name !== undefined) ?? '')
      .filter((table) => tables.has(table))
      .map((table) => ({ path, table })),
  )

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

test('every table is there', () => {
  const schema = /export interface Schema \{\n([\s\S]*?)\n\}/.exec(read('src/db/schema.ts'))?.[1] ?? ''
  const names = [...schema.matchAll(/(\w+):/g)].map(([, name = '']) => name)
  expect([...tables.keys()].toSorted()).toEqual(names.toSorted())
})

test('nobody writes to a table but its owners, and nobody else reads it but those who are said to', () => {
  // The probe changes nothing: it asks whether it could.
  const isProbe = ({ path }: { path: string }) => path === 'src/db/write-probe.ts'
  const isIn = (path: string, rooms: string[] = []) => rooms.some((room) => path.startsWith(room))
  const writes = uses(/(?:updateTable|insertInto|deleteFrom)\('(\w+)'|(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)/g)
  const reads = uses(/(?:selectFrom|innerJoin|leftJoin)\('(\w+)|(?:FROM|JOIN) (\w+)/g)
  expect(writes.length).toBeGreaterThan(20)
  expect(reads.length).toBeGreaterThan(20)
  const writers = writes.filter((use) => !isProbe(use) && !isIn(use.path, tables.get(use.table)?.owners))
  const readers = reads.filter((use) => {
    const { owners = [], readers: others = [] } = tables.get(use.table) ?? {}
    return !isProbe(use) && !isIn(use.path, [...owners, ...others])
  })
  expect({ writers, readers }).toEqual({ writers: [], readers: [] })
})
