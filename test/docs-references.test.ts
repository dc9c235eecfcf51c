import pg from 'pg'
import { expect, test } from 'vitest'
import { run } from './cli/support.ts'
import { files, pages, read } from './support/pages.ts'
import { cloneDatabase } from './support/postgres.ts'

// What pages tell people to look at, or to type, is there.

interface Span {
  page: string
  text: string
}

/** Inline code, which may go over the end of a line, and the lines of fenced blocks. */
const spans: Span[] = pages.flatMap((page) => {
  const fenced: string[] = []
  const rest = read(page).replace(/^ *```.*\n([\s\S]*?)^ *```$/gm, (_all, block: string) => {
    fenced.push(...block.split('\n'))
    return ''
  })
  const inline = [...rest.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text.replace(/\s+/g, ' '))
  return [...inline, ...fenced].map((text) => ({ page, text: text.trim() }))
})

const describe = ({ page, text }: Span): string => `${page}: ${text}`

test('every file that a page names exists', () => {
  const tops = new Set(files.filter((path) => !path.includes('/')))
  // The packages' pages name files of those who use them.
  const named = spans.filter(({ page, text }) => {
    if (page.startsWith('sdk/')) return false
    const [top = ''] = text.split('/')
    return /^[a-z][\w./-]*$/.test(text) && (/\.(ts|mjs|sql|sh)$/.test(text) || (text.includes('/') && tops.has(top)))
  })
  expect(named.length).toBeGreaterThan(40)
  const isThere = (text: string) => files.some((path) => `/${path}`.endsWith(`/${text.replace(/\/$/, '')}`))
  expect(named.filter(({ text }) => !isThere(text)).map(describe)).toEqual([])
})

test('what a page says to be in a file is there', () => {
  const places = pages.flatMap((page) =>
    [...read(page).matchAll(/`(\w+)` in\s+`((?:src|test|bench|dev)\/[\w/.-]+)`/g)].map(([, name = '', path = '']) => ({
      page,
      name,
      path,
    })),
  )
  expect(places.length).toBeGreaterThan(0)
  expect(places.filter(({ name, path }) => !files.includes(path) || !read(path).includes(name))).toEqual([])
})

test('every command that a page names exists and has the options that it is given', async () => {
  const groups = 'users|sessions|keys'
  const alone = 'serve|migrate|distribute|prune|doctor|config'
  const commands = spans.flatMap(({ page, text }) => {
    const [, typed] = /(?:npm run (?:--silent )?cli --|^claviger|claviger claviger) ([a-z].*)/.exec(text) ?? []
    const command = typed ?? (RegExp(`^((${groups}) [a-z]+|(${alone}))( |$)`).test(text) ? text : undefined)
    return command === undefined ? [] : [{ page, text: command }]
  })
  expect(commands.length).toBeGreaterThan(30)
  const wrong: string[] = []
  for (const span of commands) {
    const words = span.text.replace(/ +[#<|>] .*$/, '').split(' ')
    // Asked for its help, a command reads its options and does nothing. An option may be named without its value.
    const outcomes = [await run([...words, '--help']), await run([...words, 'value', '--help'])]
    if (outcomes.every(({ code }) => code !== 0)) wrong.push(`${describe(span)} (${outcomes[0]?.err.split('\n')[0]})`)
  }
  expect(wrong).toEqual([])
})

test('every statement that a page gives to operators can be run', async () => {
  const fenced = pages.flatMap((page) =>
    [...read(page).matchAll(/^ *```sql\n([\s\S]*?)^ *```$/gm)].flatMap(([, block = '']) =>
      block.split(/;\s*\n/).map((text) => ({ page, text })),
    ),
  )
  const statements = [...fenced, ...spans].filter(({ text }) => /^\s*(SELECT|UPDATE|DELETE|INSERT) .* \w+/s.test(text))
  const whole = statements.filter(({ text }) => !text.includes('…'))
  expect(whole.length).toBeGreaterThan(0)
  const database = await cloneDatabase()
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    for (const { text } of whole) await client.query(`EXPLAIN ${text.replace(/;$/, '')}`)
  } finally {
    await client.end()
    await database.drop()
  }
})

test('the log inventory names no message that the server never writes', () => {
  const sources = files.filter((path) => /^src\/.*\.ts$/.test(path)).map(read)
  const [, inventory = ''] = /^\| message \| level \| when \|\n([\s\S]*?)\n\n/m.exec(read('docs/operations.md')) ?? []
  const messages = [...inventory.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text),
  )
  expect(messages.length).toBeGreaterThan(15)
  expect(messages.filter((text) => !sources.some((source) => source.includes(`'${text}'`)))).toEqual([])
})

test('the table of metrics names none that the server does not have', () => {
  const sources = files.filter((path) => /^src\/.*\.ts$/.test(path)).map(read)
  const [, table = ''] = /^\| metric \| what \|\n([\s\S]*?)\n\n/m.exec(read('docs/operations.md')) ?? []
  const named = table.match(/claviger_[a-z_]+/g) ?? []
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((name) => !sources.some((source) => source.includes(`'${name}'`)))).toEqual([])
})
