import { expect, test, vi } from 'vitest'
import { createUser } from '../../src/users/accounts.ts'
import { invite } from '../../src/users/invite.ts'
import { deleteUser } from '../../src/users/removal.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { type Mailboxes, openMailboxes } from '../support/mailboxes.ts'
import { byOperator } from '../support/operation.ts'
import { outcome, post } from '../users/address.ts'
import { auditOf } from '../users/support.ts'
import { wrongOf } from './mailbox.ts'

const GUEST = 'guest@example.com'

/** @returns what the mailbox got. */
async function invited(t: TestApp & { mailboxes: Mailboxes }, roles: string[] = [], email = GUEST) {
  await invite(t.deps, byOperator(t.deps), { email, roles, mail: 'en' })
  return await t.mailboxes.one(email, 'invitation')
}
const accept = (t: TestApp, presented: object, password = TEST_PASSWORD) =>
  post(t, '/invitations/accept', { ...presented, password })
const accounts = async (t: TestApp) =>
  await t.db.selectFrom('users').select(['email', 'email_verified', 'roles']).execute()

async function start(env: Record<string, string> = {}) {
  const t = await createTestApp({ env: { REGISTRATION: 'invite', ...env } })
  return Object.assign(t, { mailboxes: openMailboxes(t) })
}

test.each(['invite', 'closed'])(
  'with REGISTRATION=%s nobody registers, and the invited make their account',
  async (mode) => {
    await using t = await start({ REGISTRATION: mode })
    expect(outcome(await t.register(GUEST, TEST_PASSWORD))).toEqual([403, 'registration_closed'])
    const { token, to, expiresAt } = await invited(t, ['editor'])
    expect(to).toBe(GUEST)
    expect(Math.round((Date.parse(expiresAt) - t.deps.clock().getTime()) / 3_600_000)).toBe(7 * 24)
    const answer = await accept(t, { token })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      user: {
        id: expect.any(String),
        email: GUEST,
        email_verified: true,
        roles: ['editor'],
        claims: {},
        created_at: expect.any(String),
      },
    })
    expect(answer.headers['set-cookie']).toBeUndefined()
    const signedIn = await t.login({ email: GUEST, password: TEST_PASSWORD })
    expect(signedIn.json().user).toMatchObject({ email_verified: true, roles: ['editor'] })
    const trail = await t.db.selectFrom('audit').selectAll().execute()
    expect(trail.filter(({ type }) => /invit/.test(type))).toMatchObject([
      { type: 'user.invited', actor: 'operator:ada', user_id: null, details: { roles: ['editor'] } },
      { type: 'invitation.accepted', outcome: 'success', actor: 'anonymous', user_id: answer.json().user.id },
    ])
    expect(JSON.stringify(trail)).not.toContain('guest@')
  },
)

test('the code and the address do as well; five wrong codes end it, and not the link', async () => {
  await using t = await start()
  const first = await invited(t)
  expect((await accept(t, { email: 'Guest@Example.com', code: first.code })).statusCode).toBe(201)
  const other = 'other@example.com'
  const { code, token } = await invited(t, [], other)
  for (let i = 0; i < 5; i++)
    expect(outcome(await accept(t, { email: other, code: wrongOf(code) }))).toEqual([400, 'invalid_code'])
  expect(outcome(await accept(t, { email: other, code }))).toEqual([400, 'invalid_code'])
  expect((await accept(t, { token })).statusCode).toBe(201)
})

test('the password is held to the policy before anything is used up, and an unknown link is refused before any hash', async () => {
  await using t = await start()
  const { token, code } = await invited(t)
  const hash = vi.spyOn(t.deps.hasher, 'hash')
  expect(outcome(await accept(t, { token: 'no link of ours' }))).toEqual([400, 'invalid_code'])
  for (const presented of [{ token }, { email: GUEST, code }]) {
    for (const [password, problem] of [
      ['short77', 'password_too_short'],
      [GUEST, 'password_blocked'],
    ] as const)
      expect(outcome(await accept(t, presented, password))).toEqual([400, problem])
  }
  expect(hash).not.toHaveBeenCalled()
  expect((await accept(t, { token })).statusCode).toBe(201)
})

test.each([
  ['neither', {}],
  ['both', { token: 'x', email: GUEST, code: '12345678' }],
  ['a code alone', { code: '12345678' }],
  ['roles of one’s own', { token: 'x', roles: ['admin'] }],
])('%s is malformed', async (_what, body) => {
  await using t = await start()
  expect(outcome(await accept(t, body))).toEqual([400, 'invalid_request'])
})

test('only the newest invitation counts, once, for seven days', async () => {
  await using t = await start()
  await using other = await createTestApp({ join: t })
  const [older, newer] = [await invited(t, ['admin']), await invited(t, ['reader'])]
  expect(outcome(await accept(t, { token: older.token }))).toEqual([400, 'invalid_code'])
  const answers = await Promise.all([t, other, t].map((replica) => accept(replica, { token: newer.token })))
  expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([201, 400, 400])
  expect(await accounts(t)).toEqual([{ email: GUEST, email_verified: true, roles: ['reader'] }])
  const late = await invited(t, [], 'late@example.com')
  t.travel(7 * 86_400 + 1)
  expect(outcome(await accept(t, { token: late.token }))).toEqual([400, 'invalid_code'])
})

test('an account that was made meanwhile stays as it is', async () => {
  await using t = await start()
  const { token } = await invited(t, ['admin'])
  await createUser(t.deps, byOperator(t.deps), { email: GUEST, password: null, roles: [] })
  expect(outcome(await accept(t, { token }))).toEqual([409, 'email_taken'])
  expect(await accounts(t)).toEqual([{ email: GUEST, email_verified: false, roles: [] }])
  await expect(invite(t.deps, byOperator(t.deps), { email: GUEST, roles: [], mail: 'en' })).rejects.toMatchObject({
    code: 'email_taken',
  })
})

test.each(['before', 'after'])(
  'a stranger who registers the address %s it is invited keeps nobody out, and is out',
  async (when) => {
    await using t = await start({ REGISTRATION: 'open', EMAIL_VERIFICATION: 'required' })
    const strangers = 'nine silent foxes wait'
    const register = async () => {
      expect((await t.register(GUEST, strangers)).statusCode).toBe(202)
      return await t.mailboxes.one(GUEST, 'verify-email')
    }
    const early = when === 'before' ? await register() : undefined
    const { token } = await invited(t, ['editor'])
    const { token: other } = early ?? (await register())
    const answer = await accept(t, { token })
    expect([answer.statusCode, answer.json().user]).toMatchObject([201, { email_verified: true, roles: ['editor'] }])
    expect((await t.login({ email: GUEST, password: strangers })).statusCode).toBe(401)
    const signedIn = await t.login({ email: GUEST, password: TEST_PASSWORD })
    expect(signedIn.json().user).toMatchObject({ email_verified: true, roles: ['editor'] })
    expect(outcome(await post(t, '/email/verify', { token: other, password: strangers }))).toEqual([
      400,
      'invalid_code',
    ])
    expect(await auditOf(t, 'user.roles_changed')).toMatchObject([{ details: { before: [], after: ['editor'] } }])
  },
)

test('what proves no mailbox takes over no account, and what is proved is nobody else’s', async () => {
  await using t = await start({ REGISTRATION: 'open', EMAIL_VERIFICATION: 'required' })
  const { handedOver } = await invite(t.deps, byOperator(t.deps), { email: GUEST, roles: ['admin'], mail: undefined })
  await t.register(GUEST, TEST_PASSWORD)
  const { token } = await t.mailboxes.one(GUEST, 'verify-email')
  expect(outcome(await accept(t, { token: handedOver?.token }))).toEqual([409, 'email_taken'])
  const again = (mail: 'en' | undefined) => invite(t.deps, byOperator(t.deps), { email: GUEST, roles: ['admin'], mail })
  await expect(again(undefined)).rejects.toMatchObject({ code: 'email_taken' })
  const { token: mailed } = await invited(t, ['admin'])
  expect(outcome(await post(t, '/email/verify', { token, password: TEST_PASSWORD }))).toEqual([204, undefined])
  expect(outcome(await accept(t, { token: mailed }))).toEqual([409, 'email_taken'])
  await expect(again('en')).rejects.toMatchObject({ code: 'email_taken' })
  expect(await accounts(t)).toEqual([{ email: GUEST, email_verified: true, roles: [] }])
})

test('who was deleted does not come back by an invitation from before', async () => {
  await using t = await start()
  const { token } = await invited(t, ['admin'])
  await createUser(t.deps, byOperator(t.deps), { email: GUEST, password: null, roles: [] })
  await deleteUser(t.deps, byOperator(t.deps), GUEST)
  expect(outcome(await accept(t, { token }))).toEqual([400, 'invalid_code'])
  expect(await accounts(t)).toEqual([])
})

test('an address gets three invitations an hour; the newest stays good', async () => {
  await using t = await start()
  const mails = [await invited(t), await invited(t), await invited(t)]
  await expect(invite(t.deps, byOperator(t.deps), { email: GUEST, roles: [], mail: 'en' })).rejects.toMatchObject({
    code: 'too_many_requests',
  })
  expect(await auditOf(t, 'user.invited')).toHaveLength(3)
  expect((await accept(t, { token: mails[2]?.token })).statusCode).toBe(201)
})

test('what an operator hands over proves no address, and needs no mail', async () => {
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com', REGISTRATION: 'closed' }
  await using t = await createTestApp({ env: production })
  const { handedOver } = await invite(t.deps, byOperator(t.deps), { email: GUEST, roles: [], mail: undefined })
  const answer = await accept(t, { token: handedOver?.token })
  expect([answer.statusCode, answer.json().user.email_verified]).toEqual([201, false])
  const signedIn = await t.login({ email: GUEST, password: TEST_PASSWORD })
  expect(signedIn.json().user).toMatchObject({ email: GUEST, email_verified: false })
})
