import { expect, test, vi } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { auditOf } from '../users/support.ts'

const post = (url: string, payload: object, headers = {}) => ({
  method: 'POST' as const,
  url,
  headers: { 'content-type': 'application/json', ...headers },
  payload: JSON.stringify(payload),
})

test('makes an account under the normal form of the address, and signs nobody in', async () => {
  await using t = await createTestApp()
  const answer = await t.register('Ada@Example.COM', TEST_PASSWORD)
  expect(answer.statusCode).toBe(201)
  expect(answer.json()).toEqual({
    user: {
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      email: 'ada@example.com',
      email_verified: false,
      roles: [],
      claims: {},
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
    },
  })
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect(await t.db.selectFrom('families').select('id').execute()).toEqual([])
  const stored = await t.db.selectFrom('users').select('password_hash').executeTakeFirstOrThrow()
  expect(stored.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  expect(await auditOf(t, 'user.registered')).toMatchObject([{ outcome: 'success', user_id: answer.json().user.id }])
})

test('of twenty registrations of one address at once exactly one succeeds, the others get 409', async () => {
  await using t = await createTestApp()
  const answers = await atOnce(20, (i) => t.register(i % 2 ? 'ada@example.com' : 'ADA@example.com', TEST_PASSWORD))
  const statuses = answers.map((answer) => answer.statusCode)
  expect(statuses.filter((status) => status === 201)).toHaveLength(1)
  expect(statuses.filter((status) => status === 409)).toHaveLength(19)
  expect(answers.find((answer) => answer.statusCode === 409)?.json()).toMatchObject({ code: 'email_taken' })
  await t.deps.tally.flush(t.deps.clock())
  const events = await auditOf(t, 'user.registered')
  expect(events.filter(({ outcome }) => outcome === 'success')).toHaveLength(1)
  const refused = events.filter(({ outcome }) => outcome === 'failure')
  expect(refused.reduce((sum, { details }) => sum + Number(details.count), 0)).toBe(19)
})

test.each([
  ['not-an-address', TEST_PASSWORD, 'invalid_email'],
  ['mi\u212ae@example.com', TEST_PASSWORD, 'invalid_email'],
  ['ada@example.com', 'short77', 'password_too_short'],
  ['ada@example.com', '\u00e9'.repeat(7).normalize('NFD'), 'password_too_short'],
  ['ada@example.com', `${TEST_PASSWORD} `.repeat(13).slice(0, 257), 'password_too_long'],
  ['ada@example.com', 'Password123', 'password_blocked'],
  ['ada@example.com', 'ADA@example.com', 'password_blocked'],
])('refuses %j with %j: %s, before any hash', async (email, password, code) => {
  await using t = await createTestApp()
  const hash = vi.spyOn(t.deps.hasher, 'hash')
  const answer = await t.register(email, password)
  expect(answer.statusCode).toBe(400)
  expect(answer.json()).toMatchObject({ code, detail: expect.any(String) })
  expect(answer.body).not.toContain(password)
  expect(hash).not.toHaveBeenCalled()
})

test.each<Record<string, string>>([
  { REGISTRATION: 'closed' },
  // Production, where nobody has said anything.
  { REGISTRATION: '', NODE_ENV: 'production', ISSUER: 'https://auth.example.com' },
])('is closed unless it is opened: %j', async (env) => {
  await using t = await createTestApp({ env })
  const answer = await t.register('ada@example.com', TEST_PASSWORD)
  expect([answer.statusCode, answer.json().code]).toEqual([403, 'registration_closed'])
  expect(await t.db.selectFrom('users').select('id').execute()).toEqual([])
})

test('a page of another origin may not register', async () => {
  await using t = await createTestApp()
  const body = { email: 'ada@example.com', password: TEST_PASSWORD }
  const foreign = await t.inject(post('/register', body, { origin: 'https://evil.example' }))
  expect([foreign.statusCode, foreign.json().code]).toEqual([403, 'origin_not_allowed'])
  const own = await t.inject(post('/register', body, { origin: new URL(t.config.ISSUER).origin }))
  expect(own.statusCode).toBe(201)
})

test('a field that nobody declared is refused, not dropped: roles are not for the asking', async () => {
  await using t = await createTestApp()
  const answer = await t.inject(
    post('/register', { email: 'ada@example.com', password: TEST_PASSWORD, roles: ['admin'] }),
  )
  expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
  expect(await t.db.selectFrom('users').select('id').execute()).toEqual([])
})
