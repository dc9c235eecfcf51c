import { expect, test } from 'vitest'
import { disableUser } from '../../src/users/accounts.ts'
import { lockAccount } from '../../src/users/lookup.ts'
import { createTestApp } from '../support/app.ts'
import { claimsOf } from '../support/jwt.ts'
import { waitForLocks } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'
import { createTestCli, run } from './support.ts'

interface User {
  id: string
  email: string
  roles: string[]
  disabled_at: string | null
  has_password: boolean
}

const PASSWORD = 'seven-green-lanterns-42'

test('an account made at the command line can sign in', async () => {
  await using t = await createTestApp({ env: { REGISTRATION: 'closed' } })
  const { code, out, err } = await run(
    ['users', 'create', 'Alice@Example.com', '--role', 'admin', '--role', 'ops', '--json'],
    {
      env: t.env,
      stdin: `${PASSWORD}\r\nsomething else\n`,
    },
  )
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const { user } = JSON.parse(out) as { user: User }
  expect(user).toEqual({
    id: expect.any(String),
    email: 'alice@example.com',
    email_verified: false,
    roles: ['admin', 'ops'],
    claims: {},
    has_password: true,
    password_disabled: false,
    disabled_at: null,
    created_at: expect.stringMatching(/^\d{4}-.*Z$/),
  })
  const answer = await t.login({ email: 'alice@example.com', password: PASSWORD })
  expect(answer.statusCode).toBe(200)
  expect(answer.json()).toMatchObject({ user: { id: user.id, roles: ['admin', 'ops'] } })

  expect(await run(['users', 'disable', 'alice@example.com'], { env: t.env })).toMatchObject({
    code: 0,
    out: expect.stringContaining('Disabled alice@example.com; 1 session ended.'),
  })
  expect((await t.login({ email: 'alice@example.com', password: PASSWORD })).statusCode).toBe(401)
  expect((await run(['users', 'enable', user.id], { env: t.env })).code).toBe(0)
  expect((await t.login({ email: 'alice@example.com', password: PASSWORD })).statusCode).toBe(200)
  const trail = await t.db
    .selectFrom('audit')
    .select(['type', 'actor'])
    .where('actor', 'like', 'operator:%')
    .orderBy('seq')
    .execute()
  expect(trail.map(({ type }) => type)).toEqual(['user.created', 'user.disabled', 'session.ended', 'user.enabled'])
})

test('an account that is disabled again while it is being enabled stays disabled, and the operator hears of it', async () => {
  await using t = await createTestApp()
  const { userId, email } = await t.signUp()
  await t.db.updateTable('users').set({ disabled_at: t.deps.clock() }).where('id', '=', userId).execute()
  const { disabling, enabling } = await t.db.transaction().execute(async (tx) => {
    await lockAccount(tx, userId)
    const second = disableUser(t.deps, byOperator(t.deps), userId)
    await waitForLocks(t.db, 1)
    const outcome = run(['users', 'enable', email], { env: t.env })
    await waitForLocks(t.db, 2)
    return { disabling: second, enabling: outcome }
  })
  await disabling
  expect(await enabling).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining(`${email} was disabled again meanwhile`),
  })
})

test('a password set at the command line replaces the old one, ends the sessions and forgets the failures', async () => {
  await using t = await createTestApp()
  const { email, password, refreshToken } = await t.signUp()
  for (let i = 0; i < 5; i++) await t.login({ email, password: 'not the right phrase' })
  expect((await t.login({ email, password })).statusCode).toBe(429)

  expect(await run(['users', 'password', email], { env: t.env, stdin: 'password1\n' })).toMatchObject({
    code: 1,
    err: expect.stringContaining('common'),
  })
  expect(await run(['users', 'password', email], { env: t.env, stdin: `${PASSWORD}\n` })).toMatchObject({
    code: 0,
    out: expect.stringContaining(`Set the password of ${email}; 1 session ended.`),
  })
  expect((await t.refresh(refreshToken)).statusCode).toBe(401)
  expect((await t.login({ email, password })).statusCode).toBe(401)
  expect((await t.login({ email, password: PASSWORD })).statusCode).toBe(200)
})

test('at a terminal the password is typed twice and never shown', async () => {
  await using cli = await createTestCli()
  const typed = await cli.run(['users', 'create', 'a@example.com'], { typed: [`${PASSWORD}\r`, `${PASSWORD}\r`] })
  expect(typed).toMatchObject({ code: 0, err: 'Password: \nOnce more: \n' })
  expect(typed.out + typed.err).not.toContain(PASSWORD)

  const twoOnes = await cli.run(['users', 'create', 'b@example.com'], {
    typed: [`${PASSWORD}\r`, 'another-green-lantern\r'],
  })
  expect(twoOnes).toMatchObject({ code: 1, err: expect.stringContaining('the two passwords differ') })
  const broken = await cli.run(['users', 'create', 'b@example.com'], { typed: ['seven\x03'] })
  expect(broken).toMatchObject({ code: 130, err: expect.stringContaining('interrupted') })
  expect((await cli.json<{ users: User[] }>(['users', 'list'])).users.map(({ email }) => email)).toEqual([
    'a@example.com',
  ])
})

test.each([
  ['no password at all', 'a@example.com', '', 2, 'no password'],
  ['an empty line', 'a@example.com', '\nreal-password-99\n', 2, 'no password'],
  ['a common password', 'a@example.com', 'password1\n', 1, 'too easy to guess'],
  ['a short password', 'a@example.com', 'x1y2\n', 1, 'Use at least 8 characters'],
  ['a bad address', 'a@@example.com', `${PASSWORD}\n`, 1, 'The e-mail address is not acceptable'],
  ['an address that is taken', 'Taken@example.com', `${PASSWORD}\n`, 1, 'An account with this e-mail address exists'],
])('no account is made with %s', async (_case, email, stdin, code, message) => {
  await using cli = await createTestCli()
  await cli.run(['users', 'create', 'taken@example.com', '--no-password'])
  expect(await cli.run(['users', 'create', email], { stdin })).toMatchObject({
    code,
    out: '',
    err: expect.stringContaining(message),
  })
  expect((await cli.json<{ users: User[] }>(['users', 'list'])).users).toHaveLength(1)
})

test('pages follow one another without a gap', async () => {
  await using cli = await createTestCli()
  expect((await cli.run(['users', 'list'])).out).toBe('No accounts.\n')
  const emails = ['c', 'a', 'e', 'b', 'd'].map((name) => `${name}@example.com`)
  for (const email of emails) await cli.run(['users', 'create', email, '--no-password'])

  type Page = { users: User[]; next: string | null }
  const seen: string[] = []
  let next: string | null = null
  do {
    const page: Page = await cli.json<Page>(['users', 'list', '--limit', '2', ...(next ? ['--after', next] : [])])
    seen.push(...page.users.map(({ email }) => email))
    next = page.next
  } while (next)
  expect(seen).toEqual(emails)
  expect((await cli.json<Page>(['users', 'list', '--limit', '5'])).next).toBeNull()

  const { out } = await cli.run(['users', 'list', '--limit', '2'])
  const [heading = '', first = '', second = '', , hint = ''] = out.split('\n')
  expect(heading).toMatch(/^ID +EMAIL +STATE +CREATED +ROLES$/)
  expect(first.indexOf('c@example.com')).toBe(heading.indexOf('EMAIL'))
  expect(hint).toBe(`There are more: claviger users list --limit 2 --after ${second.slice(0, 36)}`)
})

test('custom claims are shown and replaced, and are in the next token', async () => {
  await using t = await createTestApp()
  const { email, refreshToken } = await t.signUp('claims@example.com')
  const claims = (...args: string[]) => run(['users', 'claims', email, ...args, '--json'], { env: t.env })
  expect(JSON.parse((await claims()).out)).toMatchObject({ email, before: {}, after: {} })
  const set = await claims('--set', '{"tenant": "acme", "limits": {"seats": 3}}')
  expect(JSON.parse(set.out)).toMatchObject({ before: {}, after: { tenant: 'acme', limits: { seats: 3 } } })
  const token = (await t.refresh(refreshToken)).json().access_token as string
  expect(claimsOf(token)).toMatchObject({ tenant: 'acme' })
  const events = await t.db.selectFrom('audit').select('details').where('type', '=', 'user.claims_changed').execute()
  expect(events).toEqual([{ details: { before: [], after: ['tenant', 'limits'] } }])
  expect(JSON.parse((await claims('--set', '{}')).out)).toMatchObject({ after: {} })
})

test.each<[string, number, RegExp]>([
  ['tenant=acme', 2, /JSON object/],
  ['[]', 2, /JSON object/],
  ['null', 2, /JSON object/],
  ['{"a": 1, "a": 2}', 2, /each of its names once/],
  ['{"nbf": 4102444800, "team": 1, "cnf": {}}', 1, /nbf, cnf/],
  [`{"note": "${'x'.repeat(4000)}"}`, 1, /at most \d+ bytes/],
])('the claims %j are refused', async (json, code, message) => {
  await using cli = await createTestCli()
  await cli.json(['users', 'create', 'a@example.com', '--no-password'])
  const refused = await cli.run(['users', 'claims', 'a@example.com', '--set', json])
  expect(refused).toMatchObject({ code, out: '', err: expect.stringMatching(message) })
  expect(await cli.json(['users', 'claims', 'a@example.com'])).toMatchObject({ after: {} })
})

test('roles are shown, added, removed and set', async () => {
  await using cli = await createTestCli()
  await cli.run(['users', 'create', 'a@example.com', '--no-password', '--role', 'x'])
  const roles = (...args: string[]) =>
    cli.json<{ before: string[]; after: string[]; changed: boolean }>(['users', 'roles', 'a@example.com', ...args])
  expect(await roles()).toMatchObject({ before: ['x'], after: ['x'], changed: false })
  expect(await roles('--add', 'y', '--add', 'x', '--remove', 'nobody')).toMatchObject({
    before: ['x'],
    after: ['x', 'y'],
    changed: true,
  })
  expect(await roles('--remove', 'x')).toMatchObject({ before: ['x', 'y'], after: ['y'] })
  expect(await roles('--set', 'p, q')).toMatchObject({ before: ['y'], after: ['p', 'q'] })
  expect((await cli.run(['users', 'roles', 'a@example.com', '--set', ''])).out).toBe(
    'a@example.com\nbefore  p, q\nafter   none\n',
  )
  expect(await cli.run(['users', 'roles', 'a@example.com', '--add', 'no spaces'])).toMatchObject({
    code: 1,
    err: expect.stringContaining('A role has'),
  })
})

test('operators who add roles at the same moment undo nothing of each other', async () => {
  await using cli = await createTestCli()
  await cli.run(['users', 'create', 'a@example.com', '--no-password'])
  const names = ['p', 'q', 'r', 's']
  await Promise.all(names.map((name) => cli.run(['users', 'roles', 'a@example.com', '--add', name])))
  const { after } = await cli.json<{ after: string[] }>(['users', 'roles', 'a@example.com'])
  expect(after.toSorted()).toEqual(names)
})

test.each([
  ['users', 'roles', 'nobody@example.com'],
  ['users', 'disable', 'nobody@example.com'],
  ['users', 'enable', '019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11'],
  ['sessions', 'list', '--user', 'nobody@example.com'],
  ['sessions', 'end', '--user', 'nobody@example.com'],
])('an account that does not exist is exit code 3: %s %s', async (...args) => {
  await using cli = await createTestCli()
  expect(await cli.run(args)).toEqual({ code: 3, out: '', err: 'claviger: There is no such user.\n' })
})

test('what a database that is read-only does not take is said to be that, with the exit code of one that is away', async () => {
  await using cli = await createTestCli()
  const { code, err } = await cli.run(['users', 'create', 'ada@example.com'], {
    env: { DATABASE_URL: `${cli.env.DATABASE_URL}?options=-c%20default_transaction_read_only%3Don` },
    stdin: `${PASSWORD}\n`,
  })
  expect(code).toBe(4)
  expect(err).toContain('the database takes no writes: it is read-only, or a standby')
})
