import { describe, expect, test } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import type { Mail, Template } from '../../src/outbox/mail/mail.ts'
import { tellOwner } from '../../src/outbox/mail/notices.ts'
import { setPassword } from '../../src/users/accounts.ts'
import { createTestApp, type SignedUp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf } from '../users/support.ts'

const email = 'ada@example.com'
const NEXT = 'seven brisk herons glide'
const HOUR = 3600
const GERMAN = { 'accept-language': 'de-AT' }
const RUSSIAN = { 'accept-language': 'ru' }

/** Hands over what is in the outbox. @returns what it was, by its template. */
async function mails(t: TestApp): Promise<Mail[]> {
  const handedOver: Mail[] = []
  await t.deliver({ mail: async (mail) => void handedOver.push(mail) })
  return handedOver
}

async function templates(t: TestApp): Promise<Template[]> {
  return (await mails(t)).map(({ template }) => template)
}

const signIn = (t: TestApp, body: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  t.login({ email, password: TEST_PASSWORD, ...body }, headers)

/** Uses the first token of a new session twice, with its successor in between. */
async function reuse(t: TestApp, headers: Record<string, string> = {}): Promise<void> {
  const { refresh_token } = (await signIn(t)).json()
  const successor = (await t.refresh(refresh_token)).json().refresh_token
  expect((await t.refresh(successor)).statusCode).toBe(200)
  expect((await t.refresh(refresh_token, { headers })).statusCode).toBe(401)
}

function changePassword(t: TestApp, user: SignedUp) {
  return t.inject({
    method: 'POST',
    url: '/password',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${user.accessToken}` },
    payload: JSON.stringify({ current_password: TEST_PASSWORD, new_password: NEXT }),
  })
}

describe('a sign-in on a device that is not known', () => {
  test('is told to the address of the account, but not the first sign-in ever', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const first = await signIn(t, {}, GERMAN)
    expect(await mails(t)).toEqual([])
    expect((await signIn(t, {}, { 'user-agent': 'curl/8', ...RUSSIAN })).statusCode).toBe(200)
    expect(await mails(t)).toEqual([
      {
        to: email,
        // Whoever is on the new device does not choose a language that the owner may not read.
        locale: 'de',
        template: 'new-device',
        asked: { at: expect.any(String), address: '127.0.0.1', userAgent: 'curl/8' },
      },
    ])
    const { user } = first.json()
    expect(await auditOf(t, 'login.new_device')).toMatchObject([
      { user_id: user.id, client_id: 'native', actor: `user:${user.id}` },
    ])
  })

  test('is not one with the token of the device', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const { device_token } = (await signIn(t)).json()
    const again = (await signIn(t, { device_token })).json().device_token
    await signIn(t, { device_token: again })
    expect(await templates(t)).toEqual([])
    // Another user of the same device is known there by nobody.
    await t.register('eve@example.com', TEST_PASSWORD)
    for (let time = 0; time < 2; time++)
      await t.login({ email: 'eve@example.com', password: TEST_PASSWORD, device_token })
    expect(await mails(t)).toMatchObject([{ to: 'eve@example.com', template: 'new-device' }])
  })

  test('is told three times a day at most, also of many at once', async () => {
    await using t = await createTestApp({ env: { HASH_QUEUE: '64' } })
    await t.register(email, TEST_PASSWORD)
    await signIn(t)
    // As many as an account may have in flight.
    const answers = await atOnce(5, () => signIn(t))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(5).fill(200))
    expect(await templates(t)).toEqual(['new-device', 'new-device', 'new-device'])
    expect(await auditOf(t, 'login.new_device')).toHaveLength(3)
    t.travel(23 * HOUR)
    await signIn(t)
    expect(await templates(t)).toEqual([])
    t.travel(2 * HOUR)
    await signIn(t)
    expect(await templates(t)).toEqual(['new-device'])
  })

  test('that is refused, or that starts no session, tells nobody', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await signIn(t)
    await signIn(t, { password: 'not my password' })
    await t.db.schema.alterTable('families').renameTo('away').execute()
    expect((await signIn(t)).statusCode).toBe(503)
    await t.db.schema.alterTable('away').renameTo('families').execute()
    expect(await templates(t)).toEqual([])
  })
})

describe('a password that is changed', () => {
  test('by its user', async () => {
    await using t = await createTestApp()
    const user = await t.signUp(email)
    expect((await changePassword(t, user)).statusCode).toBe(204)
    expect(await mails(t)).toMatchObject([{ to: email, template: 'password-changed' }])
  })

  test('by an operator, in the language of the owner', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await signIn(t, {}, GERMAN)
    await setPassword(t.deps, byOperator(t.deps), email, NEXT)
    expect(await mails(t)).toMatchObject([
      { to: email, locale: 'de', template: 'password-changed', asked: { address: null, userAgent: null } },
    ])
  })

  test('is not told if it was not: the present one is wrong', async () => {
    await using t = await createTestApp()
    const user = await t.signUp(email, NEXT)
    expect((await changePassword(t, user)).statusCode).toBe(401)
    expect(await templates(t)).toEqual([])
  })
})

describe('a session that was ended because its token was used again', () => {
  test('is told once an hour, however many sessions a thief has', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await reuse(t, RUSSIAN)
    expect(await mails(t)).toMatchObject([{ to: email, locale: 'en', template: 'session-reuse' }])
    await reuse(t)
    await reuse(t)
    expect((await templates(t)).filter((template) => template === 'session-reuse')).toEqual([])
    t.travel(HOUR)
    await reuse(t)
    expect(await templates(t)).toContain('session-reuse')
  })

  test('is told if and only if it has ended', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await t.db.schema.alterTable('outbox').renameTo('away').execute()
    const { refresh_token } = (await signIn(t)).json()
    const successor = (await t.refresh(refresh_token)).json().refresh_token
    const third = (await t.refresh(successor)).json().refresh_token
    expect((await t.refresh(refresh_token)).statusCode).toBe(503)
    await t.db.schema.alterTable('away').renameTo('outbox').execute()
    expect(await templates(t)).toEqual([])
    expect((await t.refresh(third)).statusCode).toBe(200)
    expect((await t.refresh(refresh_token)).statusCode).toBe(401)
    expect(await templates(t)).toEqual(['session-reuse'])
  })
})

test.each([
  ['new-device', 3, 24],
  ['password-changed', 10, 24],
  ['password-reset', 10, 24],
  ['password-disabled', 1, 1],
  ['session-reuse', 1, 1],
] as const)('%s is told at most %i times within %i hours, whoever causes it', async (cause, most, hours) => {
  await using t = await createTestApp()
  const [{ userId }, other] = [await t.signUp(email), await t.signUp()]
  const tell = (id = userId) =>
    transact(t.deps.db, (tx) => tellOwner(tx, t.deps, byOperator(t.deps), { userId: id, cause }))
  for (let told = 0; told < most; told++) expect(await tell()).toBe(true)
  expect([await tell(), await tell(other.userId)]).toEqual([false, true])
  t.travel(hours * HOUR - 10)
  expect(await tell()).toBe(false)
  t.travel(20)
  expect(await tell()).toBe(true)
  expect((await mails(t)).filter(({ to }) => to === email)).toHaveLength(most + 1)
})

test('the hundredth failure is told once, and that of an unknown address to nobody', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  for (const who of [email, 'nobody@example.com']) {
    await signIn(t, { email: who, password: 'not my password' })
    for (const failures of [99, 100]) {
      await t.db
        .updateTable('login_failures')
        .set({ failures, blocked_until: new Date(0) })
        .execute()
      expect((await signIn(t, { email: who, password: 'not my password' })).statusCode).toBe(401)
    }
  }
  expect(await mails(t)).toMatchObject([{ to: email, template: 'password-disabled' }])
  expect(await auditOf(t, 'login.password_disabled')).toMatchObject([
    { details: { failures: 100 } },
    { user_id: null, details: { failures: 100 } },
  ])
})

test('nothing is enqueued where there is no mail', async () => {
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com', EMAIL_VERIFICATION: 'off' }
  await using t = await createTestApp({ env: production })
  const user = await t.signUp(email)
  await signIn(t)
  await reuse(t)
  expect((await changePassword(t, user)).statusCode).toBe(204)
  for (const table of ['outbox', 'notices'] as const)
    expect(await t.db.selectFrom(table).selectAll().execute()).toEqual([])
})

test('a mail goes to the address that the account has when it is caused', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  await signIn(t)
  await t.db.updateTable('users').set({ email: 'ada@new.example' }).where('email', '=', email).execute()
  await signIn(t, { email: 'ada@new.example' })
  expect(await mails(t)).toMatchObject([{ to: 'ada@new.example' }])
})
