import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { run } from './support.ts'

const SECRET = randomBytes(32).toString('base64')
const ID = '019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11'
/** Nothing listens there: whoever asks for the database gets exit code 4, so 2 shows that it was not asked. */
const nowhere = { DATABASE_URL: 'postgres://someone:h4rd-to-guess@127.0.0.1:1/claviger', CLAVIGER_SECRET: SECRET }

test.each([
  [[], 'a command is needed'],
  [['nonsense'], 'unknown command: nonsense'],
  [['users'], '“users” has these commands'],
  [['users', 'crate'], '“users” has these commands'],
  [['help', 'nonsense'], 'unknown command: nonsense'],
  [['\x1b[31mred'], 'unknown command: \ufffd[31mred'],
  [['users', 'list', '--nope'], "Unknown option '--nope'"],
  [['users', 'list', 'extra'], 'there are too many arguments'],
  [['users', 'list', '--limit', '0'], '--limit takes a whole number from 1 to 1000'],
  [['users', 'list', '--limit', '1001'], '--limit takes a whole number from 1 to 1000'],
  [['users', 'list', '--limit', 'x'], '--limit takes a whole number from 1 to 1000'],
  [['users', 'list', '--after', 'x'], '--after takes the cursor'],
  [['users', 'list', '--as', ''], '--as takes a name of 1 to 64 characters'],
  [['users', 'create'], 'an argument is missing'],
  [['users', 'disable'], 'an argument is missing'],
  [['users', 'roles', 'a@example.com', '--add'], "Option '--add <value>' argument missing"],
  [['users', 'roles', 'a@example.com', '--set', 'a', '--add', 'b'], '--set says it all'],
  [['sessions', 'why'], 'an argument is missing'],
  [['sessions', 'why', 'rt1_abc'], 'name a session or an account: an id looks like'],
  [['sessions', 'end'], 'name a session, with --user an account, or --all'],
  [['sessions', 'end', ID, '--user', 'a@example.com'], 'name a session, with --user an account, or --all'],
  [['sessions', 'end', 'x'], 'that is no session: an id looks like'],
  [['keys', 'rotate', '--all'], '--all goes with --compromised'],
  [['keys', 'import'], 'an argument is missing'],
  [['migrate', 'now'], 'there are too many arguments'],
])('wrong usage: %j', async (args, message) => {
  const { code, out, err } = await run(args, { env: nowhere })
  expect({ code, out, err }).toEqual({ code: 2, out: '', err: expect.stringContaining(message) })
})

test.each(['--password', '--password=h4rd-to-guess', '--pass', '-pw', '--passwd=x'])(
  'a password as an argument is refused: %s',
  async (argument) => {
    const { code, out, err } = await run(['users', 'create', 'a@example.com', argument, 'h4rd-to-guess'], {
      env: nowhere,
    })
    expect(code).toBe(2)
    expect(err).toContain('a password is never taken from the command line')
    expect(out + err).not.toContain('h4rd-to-guess')
  },
)

test.each([
  [['--help'], 'usage: claviger <command>'],
  [['help'], 'Exit codes'],
  [['help', 'users', 'roles'], '--set A,B'],
  [['users', 'roles', '--help'], '--set A,B'],
  [['keys', 'rotate', '-h'], '--compromised'],
  [['--version'], /^\d+\.\d+\.\d+\n$/],
])('help needs neither settings nor a database: %j', async (args, message) => {
  const { code, out, err } = await run(args)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(message)
})

test('a faulty configuration is exit code 78, every fault is named and no value is shown', async () => {
  const env = {
    ...nowhere,
    CLAVIGER_SECRET: 'short-secret',
    PORT: '70000',
    DATABASE_URL: 'mysql://u:h4rd-to-guess@h/d',
  }
  const { code, out, err } = await run(['users', 'list'], { env })
  expect({ code, out }).toEqual({ code: 78, out: '' })
  for (const name of ['CLAVIGER_SECRET', 'PORT', 'DATABASE_URL']) expect(err).toContain(name)
  expect(err).not.toMatch(/short-secret|h4rd-to-guess|70000/)
})

test.each([
  ['users', 'list'],
  ['users', 'create', 'a@example.com', '--no-password'],
  ['sessions', 'why', ID],
  ['keys', 'rotate', '--compromised', '--yes'],
  ['prune'],
  ['migrate'],
])('without a database: exit code 4 and one line with its address, never its password (%s %s)', async (...args) => {
  const { code, out, err } = await run(args, { env: nowhere })
  expect({ code, out, err }).toEqual({
    code: 4,
    out: '',
    err: 'claviger: the database at 127.0.0.1:1/claviger cannot be reached: ECONNREFUSED\n',
  })
})

test('a database that hangs up is unreachable too', async () => {
  await using server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { code, err } = await run(['users', 'list'], {
    env: { ...nowhere, DATABASE_URL: `postgres://u:h4rd-to-guess@127.0.0.1:${port}/d` },
  })
  expect(code).toBe(4)
  expect(err).toMatch(new RegExp(`^claviger: the database at 127\\.0\\.0\\.1:${port}/d cannot be reached: .+\n$`))
  expect(err).not.toContain('h4rd-to-guess')
})

test('colour is for terminals, and not where NO_COLOR is set', async () => {
  const help = (env: Record<string, string>, columns?: number) =>
    run(['--help'], { env, ...(columns === undefined ? {} : { columns }) }).then(({ out }) => out.includes('\x1b['))
  expect(await help({})).toBe(false)
  expect(await help({}, 100)).toBe(true)
  expect(await help({ NO_COLOR: '1' }, 100)).toBe(false)
  expect(await help({ TERM: 'dumb' }, 100)).toBe(false)
})
