import { expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { openMailboxes } from '../support/mailboxes.ts'
import { ask, confirm, move, outcome, undo } from '../users/address.ts'
import { createTestCli, run } from './support.ts'

const ALICE = 'alice@example.com'
const PASSWORD = 'seven-green-lanterns-42'

const cli = (t: TestApp, args: string[], typed?: string[]) => run(args, { env: t.env, ...(typed ? { typed } : {}) })
const events = (t: TestApp) =>
  t.db.selectFrom('audit').selectAll().where('actor', 'like', 'operator:%').orderBy('seq').execute()

test('an account is shown with what keeps its owner out', async () => {
  await using t = await createTestApp()
  await cli(t, ['users', 'create', 'bob@example.com', '--no-password', '--role', 'admin'])
  expect((await cli(t, ['users', 'show', 'bob@example.com'])).out).toMatch(
    /^bob@example\.com\nid {8}[0-9a-f-]{36}\nstate {5}no password\naddress {3}not verified\nroles {5}admin\nclaims {4}none\npassword {2}none: nobody can sign in with one\ncreated {3}\S+Z \(.*\)\nsessions {2}none\n$/,
  )

  const { userId } = await t.signUp(ALICE)
  const shown = async () =>
    JSON.parse((await cli(t, ['users', 'show', userId, '--json'])).out) as { user: Record<string, unknown> }
  expect(await shown()).toEqual({
    user: {
      id: userId,
      email: ALICE,
      email_verified: false,
      roles: [],
      claims: {},
      has_password: true,
      password_disabled: false,
      disabled_at: null,
      created_at: expect.any(String),
      held_off_until: null,
      live_sessions: 1,
      last_used_at: expect.any(String),
    },
  })
  for (let i = 0; i < 5; i++) await t.login({ email: ALICE, password: 'not the right phrase' })
  expect((await shown()).user.held_off_until).toEqual(expect.any(String))
  expect((await cli(t, ['users', 'show', ALICE])).out).toMatch(
    /^sign-in +refused until .* \(in \d+ s\), after failures/m,
  )
  await cli(t, ['users', 'disable', ALICE])
  const { out } = await cli(t, ['users', 'show', ALICE])
  expect(out).toMatch(/^state +disabled since \S+Z/m)
  expect(out).toMatch(/^sessions +none$/m)
})

test('a deleted account is gone, its sessions ended, its address free, and the trail tells of it without the address', async () => {
  await using t = await createTestApp()
  const { userId, accessToken, refreshToken } = await t.signUp(ALICE)
  await t.login({ email: ALICE, password: TEST_PASSWORD })
  for (let i = 0; i < 4; i++) await t.login({ email: ALICE, password: 'not the right phrase' })
  const deleted = await cli(t, ['users', 'delete', 'Alice@Example.com', '--yes', '--json'])
  expect(JSON.parse(deleted.out)).toEqual({ id: userId, email: ALICE, sessions_ended: 2 })

  expect((await t.refresh(refreshToken)).statusCode).toBe(401)
  const me = await t.inject({ url: '/me', headers: { authorization: `Bearer ${accessToken}` } })
  expect(me.statusCode).toBe(401)
  expect((await t.login({ email: ALICE, password: TEST_PASSWORD })).statusCode).toBe(401)
  expect(await cli(t, ['users', 'show', ALICE])).toMatchObject({ code: 3 })

  const trail = await events(t)
  expect(trail.map(({ type, reason, user_id }) => ({ type, reason, user_id }))).toEqual([
    { type: 'session.ended', reason: 'user_deleted', user_id: userId },
    { type: 'session.ended', reason: 'user_deleted', user_id: userId },
    { type: 'user.deleted', reason: null, user_id: userId },
  ])
  expect(JSON.stringify(await t.db.selectFrom('audit').selectAll().execute())).not.toContain('alice')

  // Nothing of the old account counts against whoever has the address next: four failures and this make five.
  const again = await t.signUp(ALICE, PASSWORD)
  expect(again.userId).not.toBe(userId)
  expect((await t.login({ email: ALICE, password: 'not the right phrase' })).statusCode).toBe(401)
  expect((await t.login({ email: ALICE, password: PASSWORD })).statusCode).toBe(200)
})

test('deleting asks at a terminal, and elsewhere wants --yes', async () => {
  await using t = await createTestApp()
  await t.signUp(ALICE)
  expect(await cli(t, ['users', 'delete', ALICE])).toEqual({
    code: 2,
    out: '',
    err: 'claviger: nobody can be asked here: confirm with --yes\n',
  })
  const question = `${ALICE} is deleted for good, and its sessions end. Go on? [y/N] `
  const declined = await cli(t, ['users', 'delete', ALICE], ['\r'])
  expect(declined).toMatchObject({ code: 1, err: expect.stringContaining(question) })
  expect(declined.err).toContain('not confirmed; nothing was changed')
  expect((await t.login({ email: ALICE, password: TEST_PASSWORD })).statusCode).toBe(200)
  expect((await cli(t, ['users', 'delete', ALICE], ['y\r'])).out).toBe(
    `Deleted ${ALICE}; 2 sessions ended. Access tokens that are out expire within 600 s.\n`,
  )
})

test('another address takes the place of the old one; sessions and the password stay', async () => {
  await using t = await createTestApp()
  const { userId, refreshToken } = await t.signUp(ALICE)
  const mailboxes = openMailboxes(t)
  await t.db.updateTable('users').set({ email_verified: true }).where('id', '=', userId).execute()
  for (const email of ['new@example.com', ALICE]) {
    for (let i = 0; i < 4; i++) await t.login({ email, password: 'not the right phrase' })
  }
  expect((await cli(t, ['users', 'email', ALICE, 'New@Example.com'])).out).toBe(
    `Changed the address ${ALICE} to new@example.com, which counts as not verified.\n`,
  )
  expect(await mailboxes.of(ALICE)).toMatchObject([
    { template: 'email-changed-by-operator', newEmail: 'new@example.com', locale: 'en' },
  ])
  expect(await mailboxes.of('new@example.com')).toEqual([])
  const refreshed = await t.refresh(refreshToken)
  expect(refreshed.statusCode).toBe(200)
  expect(refreshed.json()).toMatchObject({ user: { id: userId, email: 'new@example.com', email_verified: false } })
  expect((await t.login({ email: ALICE, password: TEST_PASSWORD })).statusCode).toBe(401)
  // The failures of strangers on the new address do not count: with them this would be the fifth.
  expect((await t.login({ email: 'new@example.com', password: 'not the right phrase' })).statusCode).toBe(401)
  expect((await t.login({ email: 'new@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)

  expect(await events(t)).toMatchObject([{ type: 'user.email_changed', user_id: userId, details: {} }])
  expect((await cli(t, ['users', 'email', userId, 'new@example.com'])).out).toBe(
    'Nothing to change: new@example.com is the address.\n',
  )
  expect(await events(t)).toHaveLength(1)
})

test('no link that was mailed before counts against the address that an operator gives', async () => {
  await using t = await createTestApp()
  const mailboxes = openMailboxes(t)
  const user = await t.signUp(ALICE)
  const wayBack = await move(t, mailboxes, user, { from: ALICE, to: 'second@example.com' })
  await ask(t, user, 'third@example.com')
  const { token } = await mailboxes.one('third@example.com', 'change-email')
  await cli(t, ['users', 'email', user.userId, 'new@example.com'])
  expect(outcome(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
  expect(outcome(await undo(t, wayBack))).toEqual([400, 'invalid_code'])
  expect((await t.login({ email: 'new@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)
})

test.each([
  [['nobody@example.com', 'b@example.com'], 3, 'There is no such user.'],
  [['a@example.com', 'Taken@example.com'], 1, 'An account with this e-mail address exists'],
  [['a@example.com', 'not an address'], 1, 'The e-mail address is not acceptable'],
  [['a@example.com'], 2, 'an argument is missing'],
])('an address is not changed: users email %j', async (args, code, message) => {
  await using t = await createTestCli()
  for (const email of ['a@example.com', 'taken@example.com']) await t.run(['users', 'create', email, '--no-password'])
  expect(await t.run(['users', 'email', ...args])).toMatchObject({
    code,
    out: '',
    err: expect.stringContaining(message),
  })
  const { users } = await t.json<{ users: { email: string }[] }>(['users', 'list'])
  expect(users.map(({ email }) => email)).toEqual(['a@example.com', 'taken@example.com'])
})

test('claims are read from standard input too', async () => {
  await using t = await createTestCli()
  await t.run(['users', 'create', 'a@example.com', '--no-password'])
  const claims = (stdin: string | Uint8Array) => t.run(['users', 'claims', 'a@example.com', '--set', '-'], { stdin })
  expect(await claims('{"tenant": "acme"}\n')).toMatchObject({
    code: 0,
    out: expect.stringContaining('{"tenant":"acme"}'),
  })
  for (const stdin of ['', '[]', '{"a": 1, "a": 2}', Buffer.from('{"a": "\xe4"}', 'latin1')]) {
    expect(await claims(stdin)).toMatchObject({ code: 2, out: '' })
  }
})
