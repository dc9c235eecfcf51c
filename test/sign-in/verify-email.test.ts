import { describe, expect, test, vi } from 'vitest'
import { disableUser } from '../../src/users/accounts.ts'
import { createTestApp, refreshTokenOf, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, liveFamilies } from '../users/support.ts'
import {
  delivered,
  forgot,
  linked,
  mailedReset,
  mailedVerification,
  outcomeOf,
  post,
  registered,
  resend,
  reset,
  verify,
  wrongOf,
} from './mailbox.ts'

const NEXT = 'seven brisk herons glide'
const STRANGER = 'nine silent foxes wait'
const INVALID = [400, 'invalid_code']
const ADA = 'ada@example.com'

/** Where whoever registers has to verify the address. */
const startStrict = (env: Record<string, string> = {}): Promise<TestApp> =>
  createTestApp({ env: { EMAIL_VERIFICATION: 'required', ...env } })

const signIn = (t: TestApp, password: string, email = ADA) => t.login({ email, password })

describe('where addresses have to be verified', () => {
  test('a registration is answered without a word, and the account may sign in once its owner has verified it', async () => {
    await using t = await startStrict()
    const answer = await t.register('Ada@Example.COM', TEST_PASSWORD)
    expect([answer.statusCode, answer.body, answer.headers['set-cookie']]).toEqual([202, '', undefined])
    const mail = linked(await delivered(t), 'verify-email')
    expect(mail.to).toBe(ADA)
    expect(outcomeOf(await signIn(t, 'not the right phrase'))).toEqual([401, 'invalid_credentials'])
    expect(outcomeOf(await signIn(t, TEST_PASSWORD))).toEqual([403, 'email_unverified'])
    const inBrowser = await t.login({ email: ADA, password: TEST_PASSWORD, client_id: 'web' })
    expect([...outcomeOf(inBrowser), inBrowser.headers['set-cookie']]).toEqual([403, 'email_unverified', undefined])
    expect(await t.db.selectFrom('families').select('id').execute()).toEqual([])

    const verified = await verify(t, mail, TEST_PASSWORD)
    expect([verified.statusCode, verified.body, verified.headers['set-cookie']]).toEqual([204, '', undefined])
    expect(await delivered(t)).toEqual([])
    const signedIn = await signIn(t, TEST_PASSWORD)
    expect(signedIn.json().user).toMatchObject({ email: ADA, email_verified: true })
    const about = { outcome: 'success', user_id: signedIn.json().user.id, actor: 'anonymous' }
    for (const type of ['user.registered', 'email.verification_sent', 'email.verified'])
      expect(await auditOf(t, type), type).toMatchObject([about])
  })

  test('the right password of an unverified account counts as no failure, however often', async () => {
    await using t = await startStrict()
    const mail = await registered(t, ADA, TEST_PASSWORD)
    for (let i = 0; i < 8; i++) expect(outcomeOf(await signIn(t, TEST_PASSWORD))).toEqual([403, 'email_unverified'])
    expect((await auditOf(t, 'login')).map(({ reason }) => reason)).toEqual(['email_unverified'])
    await verify(t, mail, TEST_PASSWORD)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
  })

  test('wrong passwords for an unverified account count as ever, until the owner verifies it', async () => {
    await using t = await startStrict()
    const mail = await registered(t, ADA, TEST_PASSWORD)
    for (let i = 0; i < 5; i++) await signIn(t, 'not the right phrase')
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(429)
    await verify(t, mail, TEST_PASSWORD)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
  })

  test('a second registration leaves the password of the first, and the owner states which one holds', async () => {
    await using t = await startStrict()
    const first = await registered(t, ADA, STRANGER)
    const second = await registered(t, ADA, TEST_PASSWORD)
    expect(outcomeOf(await signIn(t, TEST_PASSWORD))).toEqual([401, 'invalid_credentials'])
    expect(outcomeOf(await signIn(t, STRANGER))).toEqual([403, 'email_unverified'])
    expect(outcomeOf(await verify(t, first, TEST_PASSWORD))).toEqual(INVALID)
    expect((await verify(t, second, TEST_PASSWORD)).statusCode).toBe(204)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
    expect((await auditOf(t, 'user.registered')).map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['success', null],
      ['failure', 'email_taken'],
    ])
  })

  test('a registration with an address that has a verified account changes nothing, and its owner is told', async () => {
    await using t = await startStrict()
    await verify(t, await registered(t, ADA, TEST_PASSWORD), TEST_PASSWORD)
    const refreshToken = refreshTokenOf(await signIn(t, TEST_PASSWORD))
    const again = await post(t, '/register', { email: ADA, password: STRANGER }, { 'accept-language': 'ru' })
    expect(again.statusCode).toBe(202)
    // In the language of the owner, not in that of whoever registers.
    expect(await delivered(t)).toMatchObject([{ to: ADA, template: 'account-exists', locale: 'en' }])
    expect((await t.refresh(refreshToken)).statusCode).toBe(200)
    expect((await signIn(t, STRANGER)).statusCode).toBe(401)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
  })

  test('is there at once: a sign-in before the mail is on its way is told that the address has to be verified', async () => {
    await using t = await startStrict()
    expect((await t.register(ADA, TEST_PASSWORD)).statusCode).toBe(202)
    expect(outcomeOf(await signIn(t, TEST_PASSWORD))).toEqual([403, 'email_unverified'])
    expect(outcomeOf(await signIn(t, STRANGER))).toEqual([401, 'invalid_credentials'])
  })

  test('of twenty registrations of one address at once one makes the account, and all get one answer', async () => {
    await using t = await startStrict()
    await using other = await createTestApp({ join: t })
    const answers = await atOnce(20, (i) =>
      (i % 2 ? t : other).register(i % 3 ? ADA : 'ADA@example.com', TEST_PASSWORD),
    )
    expect([...new Set(answers.map((answer) => `${answer.statusCode} ${answer.body}`))]).toEqual(['202 '])
    const mails = await delivered(t)
    expect(mails).toHaveLength(3)
    expect(await t.db.selectFrom('users').select('email').execute()).toEqual([{ email: ADA }])
    const events = await auditOf(t, 'user.registered')
    expect(events.filter(({ outcome }) => outcome === 'success')).toHaveLength(1)
  })

  test('faults of the address and the password are told as ever, and a closed registration stays closed', async () => {
    await using t = await startStrict()
    expect(outcomeOf(await t.register('not-an-address', TEST_PASSWORD))).toEqual([400, 'invalid_email'])
    expect(outcomeOf(await t.register(ADA, 'short77'))).toEqual([400, 'password_too_short'])
    await using closed = await createTestApp({ join: t, env: { REGISTRATION: 'closed' } })
    expect(outcomeOf(await closed.register(ADA, TEST_PASSWORD))).toEqual([403, 'registration_closed'])
    expect(await delivered(t)).toEqual([])
  })

  test('accounts from before, and those of operators, sign in as they did', async () => {
    await using before = await createTestApp()
    const { email, refreshToken } = await before.signUp()
    await using t = await createTestApp({ join: before, env: { EMAIL_VERIFICATION: 'required' } })
    expect((await t.refresh(refreshToken)).statusCode).toBe(200)
    const answer = await signIn(t, TEST_PASSWORD, email)
    expect([answer.statusCode, answer.json().user.email_verified]).toEqual([200, false])
    expect(await delivered(t)).toMatchObject([{ to: email, template: 'new-device' }])
    // Somebody registers with the address: it has an account that is in use, so its owner is told.
    expect((await t.register(email, STRANGER)).statusCode).toBe(202)
    expect(await delivered(t)).toMatchObject([{ to: email, template: 'account-exists' }])
    expect((await signIn(t, TEST_PASSWORD, email)).statusCode).toBe(200)
  })

  test('a reset proves the address as well', async () => {
    await using t = await startStrict()
    const mail = await registered(t, ADA, STRANGER)
    expect((await reset(t, await mailedReset(t, ADA), TEST_PASSWORD)).statusCode).toBe(204)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
    expect(outcomeOf(await verify(t, mail, STRANGER))).toEqual(INVALID)
    expect((await signIn(t, STRANGER)).statusCode).toBe(401)
  })
})

describe('an account that a stranger registered', () => {
  test('is worth nothing to the stranger once the owner of the address has verified it', async () => {
    await using t = await startStrict()
    const { token } = await registered(t, ADA, STRANGER)
    const resetBefore = await mailedReset(t, ADA)
    expect((await verify(t, { token }, TEST_PASSWORD)).statusCode).toBe(204)
    expect((await signIn(t, STRANGER)).statusCode).toBe(401)
    expect(outcomeOf(await reset(t, resetBefore, STRANGER))).toEqual(INVALID)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
    expect(await delivered(t)).toMatchObject([{ to: ADA, template: 'password-changed' }])
  })

  test('loses every session that it had from the time when nobody had to verify', async () => {
    await using lax = await createTestApp()
    const stranger = await lax.signUp(ADA, STRANGER)
    await using t = await createTestApp({ join: lax, env: { EMAIL_VERIFICATION: 'required' } })
    const { code } = await mailedVerification(t, ADA)
    expect((await verify(t, { email: ADA, code }, TEST_PASSWORD)).statusCode).toBe(204)
    expect((await t.refresh(stranger.refreshToken)).statusCode).toBe(401)
    expect(await liveFamilies(t, stranger.userId)).toEqual([])
    expect(await auditOf(t, 'session.ended')).toMatchObject([{ reason: 'password_changed' }])
  })

  test('keeps no password that the stranger sets while the stated one is compared', async () => {
    await using t = await createTestApp()
    const stranger = await t.signUp(ADA, TEST_PASSWORD)
    const mail = await mailedVerification(t, ADA)
    const compare = t.deps.hasher.verify
    vi.spyOn(t.deps.hasher, 'verify').mockImplementationOnce(async (...claim) => {
      const matches = await compare(...claim)
      const change = { current_password: TEST_PASSWORD, new_password: STRANGER }
      const changed = await post(t, '/password', change, { authorization: `Bearer ${stranger.accessToken}` })
      expect(changed.statusCode).toBe(204)
      return matches
    })
    expect((await verify(t, mail, TEST_PASSWORD)).statusCode).toBe(204)
    expect((await signIn(t, STRANGER)).statusCode).toBe(401)
    expect((await signIn(t, TEST_PASSWORD)).statusCode).toBe(200)
    expect((await t.refresh(stranger.refreshToken)).statusCode).toBe(401)
  })

  test('keeps its sessions if the owner states the password that it has', async () => {
    await using t = await createTestApp()
    const { email, userId, refreshToken } = await t.signUp()
    expect((await verify(t, await mailedVerification(t, email), TEST_PASSWORD)).statusCode).toBe(204)
    expect((await t.refresh(refreshToken)).statusCode).toBe(200)
    expect(await liveFamilies(t, userId)).toHaveLength(1)
    expect(await delivered(t)).toEqual([])
  })
})

describe('a link that verifies', () => {
  test('is used once: of two at once on two replicas one succeeds', async () => {
    await using t = await startStrict()
    await using other = await createTestApp({ join: t })
    for (const [i, way] of (['token', 'code'] as const).entries()) {
      const email = `user-${i}@example.com`
      const { token, code } = await registered(t, email, STRANGER)
      const mailed = way === 'token' ? { token } : { email, code }
      const answers = await Promise.all([verify(t, mailed, NEXT), verify(other, mailed, `${NEXT} too`)])
      expect(answers.map(outcomeOf).toSorted(([a], [b]) => a - b)).toEqual([[204, undefined], INVALID])
      const [won, lost] = answers[0]?.statusCode === 204 ? [NEXT, `${NEXT} too`] : [`${NEXT} too`, NEXT]
      expect((await signIn(t, won, email)).statusCode).toBe(200)
      expect((await signIn(t, lost, email)).statusCode).toBe(401)
    }
  })

  test('lives for a day, and the newest alone is good', async () => {
    await using t = await startStrict()
    const first = await registered(t, ADA, TEST_PASSWORD)
    const second = await mailedVerification(t, ADA)
    expect(outcomeOf(await verify(t, first, TEST_PASSWORD))).toEqual(INVALID)
    t.travel(86_401)
    expect(outcomeOf(await verify(t, second, TEST_PASSWORD))).toEqual(INVALID)
    const third = await mailedVerification(t, ADA)
    t.travel(86_390)
    expect((await verify(t, third, TEST_PASSWORD)).statusCode).toBe(204)
  })

  test('is not used up by a password that is refused, and resets no password', async () => {
    await using t = await startStrict()
    const { token, code } = await registered(t, ADA, TEST_PASSWORD)
    for (const mailed of [{ token }, { email: ADA, code }]) {
      expect(outcomeOf(await verify(t, mailed, 'short77'))).toEqual([400, 'password_too_short'])
      expect(outcomeOf(await verify(t, mailed, ADA))).toEqual([400, 'password_blocked'])
      expect(outcomeOf(await reset(t, mailed, NEXT))).toEqual(INVALID)
    }
    expect((await verify(t, { token }, TEST_PASSWORD)).statusCode).toBe(204)
  })

  test.each(['GET', 'HEAD'] as const)('that is opened with %s changes nothing', async (method) => {
    await using t = await startStrict()
    const { token } = await registered(t, ADA, TEST_PASSWORD)
    expect((await t.inject({ method, url: '/email/verify' })).statusCode).toBe(405)
    expect((await t.inject({ method, url: `/email/verify?token=${token}` })).statusCode).toBe(400)
    expect(outcomeOf(await signIn(t, TEST_PASSWORD))).toEqual([403, 'email_unverified'])
    expect((await verify(t, { token }, TEST_PASSWORD)).statusCode).toBe(204)
  })

  test('of a disabled account is worth nothing, and none is sent to it', async () => {
    await using t = await startStrict()
    const { token } = await registered(t, ADA, TEST_PASSWORD)
    await disableUser(t.deps, byOperator(t.deps), ADA)
    expect(outcomeOf(await verify(t, { token }, TEST_PASSWORD))).toEqual(INVALID)
    await resend(t, ADA)
    await t.register(ADA, TEST_PASSWORD)
    expect(await delivered(t)).toEqual([])
  })
})

describe('codes to verify', () => {
  test('five wrong ones end the code and not the link; of fifty at once five are compared', async () => {
    await using t = await startStrict({ HASH_QUEUE: '100' })
    await using other = await createTestApp({ join: t })
    const { token, code } = await registered(t, ADA, TEST_PASSWORD)
    const wrong = { email: ADA, code: wrongOf(code) }
    const answers = await atOnce(50, (i) => verify(i % 2 ? t : other, wrong, TEST_PASSWORD))
    expect(answers.map(outcomeOf)).toEqual(answers.map(() => INVALID))
    await Promise.all([t, other].map(({ deps }) => deps.tally.flush(deps.clock())))
    const compared = (await auditOf(t, 'email.verified')).filter(({ reason }) => reason === 'wrong_code')
    expect(compared.reduce((sum, { details }) => sum + Number(details.count), 0)).toBe(5)
    expect(outcomeOf(await verify(t, { email: ADA, code }, TEST_PASSWORD))).toEqual(INVALID)
    expect((await verify(t, { token }, TEST_PASSWORD)).statusCode).toBe(204)
  })

  test('no password is compared before the code was found right: it would be a way around the back-off', async () => {
    await using t = await startStrict()
    const { code } = await registered(t, ADA, TEST_PASSWORD)
    const compare = vi.spyOn(t.deps.hasher, 'verify')
    const hash = vi.spyOn(t.deps.hasher, 'hash')
    for (const password of [TEST_PASSWORD, NEXT]) await verify(t, { email: ADA, code: wrongOf(code) }, password)
    expect([compare.mock.calls.length, hash.mock.calls.length]).toEqual([0, 2])
  })
})

test('three mails an hour go to one address, whatever asks for them, and the newest link stays good', async () => {
  await using t = await startStrict()
  await registered(t, ADA, TEST_PASSWORD)
  const newest = await mailedVerification(t, ADA)
  await mailedReset(t, ADA)
  for (const ask of [() => resend(t, ADA), () => forgot(t, ADA), () => t.register(ADA, STRANGER)]) {
    const answer = await ask()
    expect([answer.statusCode, answer.body]).toEqual([202, ''])
    expect(await delivered(t)).toEqual([])
  }
  expect((await verify(t, newest, TEST_PASSWORD)).statusCode).toBe(204)
})

test('nor does whoever registers with the address of an account have more mails written', async () => {
  await using t = await startStrict()
  await verify(t, await registered(t, ADA, TEST_PASSWORD), TEST_PASSWORD)
  for (let more = 0; more < 4; more++) expect((await t.register(ADA, STRANGER)).statusCode).toBe(202)
  expect((await delivered(t)).map(({ template }) => template)).toEqual(['account-exists', 'account-exists'])
})

test('without mail there is nothing of the kind, and registration answers as ever', async () => {
  await using t = await createTestApp({
    env: { NODE_ENV: 'production', ISSUER: 'https://auth.example.com', LOG_LEVEL: 'info' },
  })
  expect(outcomeOf(await resend(t, ADA))).toEqual([404, 'not_found'])
  expect(outcomeOf(await verify(t, { token: 'x' }, NEXT))).toEqual([404, 'not_found'])
  expect((await t.register(ADA, TEST_PASSWORD)).statusCode).toBe(201)
})

test('a registration may ask for nothing but an address and a password', async () => {
  await using t = await startStrict()
  for (const more of [
    { roles: ['admin'] },
    { role: 'admin' },
    { email_verified: true },
    { id: crypto.randomUUID() },
    { is_admin: true },
  ]) {
    const answer = await post(t, '/register', { email: ADA, password: TEST_PASSWORD, ...more })
    expect(outcomeOf(answer)).toEqual([400, 'invalid_request'])
  }
  expect(await delivered(t)).toEqual([])
})
