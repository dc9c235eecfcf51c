import { describe, expect, test, vi } from 'vitest'
import { disableUser, setPassword } from '../../src/users/accounts.ts'
import { changeEmail } from '../../src/users/address.ts'
import { deleteUser } from '../../src/users/removal.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, liveFamilies } from '../users/support.ts'
import { delivered, forgot, mailedReset, outcomeOf, post, reset, wrongOf } from './mailbox.ts'

const NEXT = 'seven brisk herons glide'
const INVALID = [400, 'invalid_code']

test('a link sets another password, ends every session, proves the address, signs nobody in and is told', async () => {
  await using t = await createTestApp()
  const user = await t.signUp('ada@example.com')
  const { token, to } = await mailedReset(t, 'ADA@Example.COM')
  expect(to).toBe('ada@example.com')
  const answer = await reset(t, { token }, NEXT)
  expect([answer.statusCode, answer.body, answer.headers['set-cookie']]).toEqual([204, '', undefined])
  expect((await t.refresh(user.refreshToken)).statusCode).toBe(401)
  expect(await liveFamilies(t, user.userId)).toEqual([])
  expect((await t.login({ email: user.email, password: TEST_PASSWORD })).statusCode).toBe(401)
  const signedIn = await t.login({ email: user.email, password: NEXT })
  expect(signedIn.json().user).toMatchObject({ id: user.userId, email_verified: true })
  expect(await delivered(t)).toMatchObject([
    { template: 'password-reset', to: 'ada@example.com' },
    // The sign-in, which says nothing of a device.
    { template: 'new-device', to: 'ada@example.com' },
  ])
  const about = { outcome: 'success', user_id: user.userId, actor: 'anonymous' }
  for (const type of ['password.reset_requested', 'password.reset', 'email.verified'])
    expect(await auditOf(t, type), type).toMatchObject([about])
  expect(await auditOf(t, 'session.ended')).toMatchObject([{ reason: 'password_reset' }])
})

test('asking changes nothing, locks nobody, and the mail says who asked', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  const row = () => t.db.selectFrom('users').selectAll().where('id', '=', user.userId).executeTakeFirstOrThrow()
  const before = await row()
  const headers = { 'user-agent': 'a phone', 'accept-language': 'de-AT,en;q=0.5' }
  expect((await post(t, '/password/forgot', { email: user.email }, headers)).statusCode).toBe(202)
  expect(await delivered(t)).toMatchObject([
    { to: user.email, locale: 'de', template: 'reset-password', asked: { userAgent: 'a phone', address: '127.0.0.1' } },
  ])
  for (let more = 0; more < 12; more++) expect((await forgot(t, user.email)).statusCode).toBe(202)
  await delivered(t)
  expect(await row()).toEqual(before)
  expect((await t.login({ email: user.email, password: TEST_PASSWORD })).statusCode).toBe(200)
  expect((await t.refresh(user.refreshToken)).statusCode).toBe(200)
})

test('the link is made of settings, whatever the request says of its host', async () => {
  await using t = await createTestApp()
  const { email } = await t.signUp()
  const evil = { host: 'evil.example', 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example' }
  const headers = { ...evil, referer: 'https://evil.example/account/forgot', 'x-original-url': 'https://evil.example/' }
  expect((await post(t, '/password/forgot', { email }, headers)).statusCode).toBe(202)
  await t.deliver()
  const [shown, ...more] = t.logs.filter(({ template }) => template === 'reset-password')
  expect(more).toEqual([])
  expect(String(shown?.link).replace(/[\w-]{43}$/, '')).toBe(`${t.config.ISSUER}/account/reset#token=`)
  expect(JSON.stringify(shown)).not.toContain('evil')
})

test('the digits do as well, with the address, on any device, and as the mail writes them', async () => {
  await using t = await createTestApp()
  await using other = await createTestApp({ join: t })
  const { email } = await t.signUp()
  const { code } = await mailedReset(t, email)
  expect(code).toMatch(/^\d{8}$/)
  const grouped = `${code.slice(0, 4)} ${code.slice(4)}`
  expect((await reset(other, { email: email.toUpperCase(), code: grouped }, NEXT)).statusCode).toBe(204)
  expect((await t.login({ email, password: NEXT })).statusCode).toBe(200)
})

describe('a link', () => {
  test('is used once: of two at once on two replicas one succeeds, and later ones are refused alike', async () => {
    await using t = await createTestApp()
    await using other = await createTestApp({ join: t })
    for (const way of ['token', 'code'] as const) {
      const { email } = await t.signUp()
      const { token, code } = await mailedReset(t, email)
      const mailed = way === 'token' ? { token } : { email, code }
      const answers = await Promise.all([reset(t, mailed, NEXT), reset(other, mailed, `${NEXT} too`)])
      expect(answers.map(outcomeOf).toSorted(([a], [b]) => a - b)).toEqual([[204, undefined], INVALID])
      const won = answers[0]?.statusCode === 204 ? NEXT : `${NEXT} too`
      expect((await t.login({ email, password: won })).statusCode).toBe(200)
      expect(outcomeOf(await reset(t, mailed, `${NEXT} again`))).toEqual(INVALID)
      expect((await t.login({ email, password: won })).statusCode).toBe(200)
    }
  })

  test('ends with the code beside it, and the code with the link', async () => {
    await using t = await createTestApp()
    const { email } = await t.signUp()
    const first = await mailedReset(t, email)
    expect((await reset(t, { token: first.token }, NEXT)).statusCode).toBe(204)
    expect(outcomeOf(await reset(t, { email, code: first.code }, NEXT))).toEqual(INVALID)
    const second = await mailedReset(t, email)
    expect((await reset(t, { email, code: second.code }, NEXT)).statusCode).toBe(204)
    expect(outcomeOf(await reset(t, { token: second.token }, NEXT))).toEqual(INVALID)
  })

  test('is void once there is a newer one', async () => {
    await using t = await createTestApp()
    const { email } = await t.signUp()
    const older = await mailedReset(t, email)
    const newer = await mailedReset(t, email)
    expect(outcomeOf(await reset(t, { token: older.token }, NEXT))).toEqual(INVALID)
    expect((await reset(t, { token: newer.token }, NEXT)).statusCode).toBe(204)
  })

  test('lives for half an hour', async () => {
    await using t = await createTestApp()
    const { email } = await t.signUp()
    const { token, code } = await mailedReset(t, email)
    t.travel(1801)
    expect(outcomeOf(await reset(t, { token }, NEXT))).toEqual(INVALID)
    expect(outcomeOf(await reset(t, { email, code }, NEXT))).toEqual(INVALID)
    const another = await mailedReset(t, email)
    t.travel(1795)
    expect((await reset(t, { token: another.token }, NEXT)).statusCode).toBe(204)
  })

  test('is not used up by a password that is refused: too short, too long, common, or the address', async () => {
    await using t = await createTestApp()
    const { email } = await t.signUp('ada@example.com')
    const { token, code } = await mailedReset(t, email)
    const hash = vi.spyOn(t.deps.hasher, 'hash')
    for (const mailed of [{ token }, { email, code }]) {
      expect(outcomeOf(await reset(t, mailed, 'short77'))).toEqual([400, 'password_too_short'])
      expect(outcomeOf(await reset(t, mailed, `${NEXT} `.repeat(11)))).toEqual([400, 'password_too_long'])
      expect(outcomeOf(await reset(t, mailed, 'password123'))).toEqual([400, 'password_blocked'])
      expect(outcomeOf(await reset(t, mailed, 'ada@example.com'))).toEqual([400, 'password_blocked'])
    }
    expect(hash).not.toHaveBeenCalled()
    expect((await reset(t, { token }, NEXT)).statusCode).toBe(204)
  })

  test.each(['GET', 'HEAD'] as const)('that is opened with %s changes nothing', async (method) => {
    await using t = await createTestApp()
    const { email } = await t.signUp()
    const { token } = await mailedReset(t, email)
    expect((await t.inject({ method, url: '/password/reset' })).statusCode).toBe(405)
    expect((await t.inject({ method, url: `/password/reset?token=${token}` })).statusCode).toBe(400)
    expect((await reset(t, { token }, NEXT)).statusCode).toBe(204)
  })
})

describe('wrong codes', () => {
  test('five end the code and not the link, and count for no sign-in', async () => {
    await using t = await createTestApp()
    const { email } = await t.signUp()
    const { token, code } = await mailedReset(t, email)
    for (let i = 0; i < 5; i++) expect(outcomeOf(await reset(t, { email, code: wrongOf(code) }, NEXT))).toEqual(INVALID)
    expect(outcomeOf(await reset(t, { email, code }, NEXT))).toEqual(INVALID)
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(200)
    expect((await reset(t, { token }, NEXT)).statusCode).toBe(204)
    await t.deps.tally.flush(t.deps.clock())
    const failed = (await auditOf(t, 'password.reset')).filter(({ outcome }) => outcome === 'failure')
    expect(failed.map(({ reason, details }) => [reason, details.count])).toEqual([
      ['wrong_code', 5],
      ['no_code', 1],
    ])
  })

  test('of fifty at once on two replicas at most five are compared', async () => {
    await using t = await createTestApp({ env: { HASH_QUEUE: '100' } })
    await using other = await createTestApp({ join: t })
    const { email } = await t.signUp()
    const { code } = await mailedReset(t, email)
    const answers = await atOnce(50, (i) => reset(i % 2 ? t : other, { email, code: wrongOf(code) }, NEXT))
    expect(answers.map(outcomeOf)).toEqual(answers.map(() => INVALID))
    await Promise.all([t, other].map(({ deps }) => deps.tally.flush(deps.clock())))
    const compared = (await auditOf(t, 'password.reset')).filter(({ reason }) => reason === 'wrong_code')
    expect(compared.reduce((sum, { details }) => sum + Number(details.count), 0)).toBe(5)
    expect(outcomeOf(await reset(t, { email, code }, NEXT))).toEqual(INVALID)
  })

  test('a code is good for its own address alone', async () => {
    await using t = await createTestApp()
    const [ada, bob] = [await t.signUp(), await t.signUp()]
    const { code } = await mailedReset(t, ada.email)
    await mailedReset(t, bob.email)
    expect(outcomeOf(await reset(t, { email: bob.email, code }, NEXT))).toEqual(INVALID)
    expect((await t.login({ email: bob.email, password: TEST_PASSWORD })).statusCode).toBe(200)
  })
})

describe('what happens to the account meanwhile', () => {
  test.each([
    ['the password is changed', (t: TestApp, id: string) => setPassword(t.deps, byOperator(t.deps), id, `${NEXT} too`)],
    [
      'the address is changed',
      (t: TestApp, id: string) => changeEmail(t.deps, byOperator(t.deps), id, 'new@example.com'),
    ],
    [
      // A server of the version before, which voids nothing, may still run beside this one.
      'the address is changed and nothing else',
      (t: TestApp, id: string) =>
        t.db.updateTable('users').set({ email: 'new@example.com' }).where('id', '=', id).execute(),
    ],
    ['the account is disabled', (t: TestApp, id: string) => disableUser(t.deps, byOperator(t.deps), id)],
    ['the account is deleted', (t: TestApp, id: string) => deleteUser(t.deps, byOperator(t.deps), id)],
  ])('%s: the link is worth nothing, before the hash or during it', async (_what, happen) => {
    await using t = await createTestApp()
    for (const moment of ['before', 'during']) {
      const { email, userId } = await t.signUp()
      const { token } = await mailedReset(t, email)
      const hash = t.deps.hasher.hash
      if (moment === 'before') await happen(t, userId)
      else
        vi.spyOn(t.deps.hasher, 'hash').mockImplementationOnce(async (password) => {
          await happen(t, userId)
          return await hash(password)
        })
      expect(outcomeOf(await reset(t, { token }, NEXT)), moment).toEqual(INVALID)
      const { password_hash } =
        (await t.db.selectFrom('users').select('password_hash').where('id', '=', userId).executeTakeFirst()) ?? {}
      if (password_hash) expect(await t.deps.hasher.verify(password_hash, NEXT), moment).toBe(false)
      await t.db.deleteFrom('users').execute()
    }
  })

  test('of a reset and a change of the password at once one happens, and its password is the one that holds', async () => {
    await using t = await createTestApp()
    for (let round = 0; round < 5; round++) {
      const { email, accessToken, refreshToken } = await t.signUp()
      const { token } = await mailedReset(t, email)
      const change = { current_password: TEST_PASSWORD, new_password: `${NEXT} changed` }
      const [byMail, bySession] = await Promise.all([
        reset(t, { token }, `${NEXT} reset`),
        post(t, '/password', change, { authorization: `Bearer ${accessToken}` }),
      ])
      expect([byMail.statusCode, bySession.statusCode]).toBeOneOf([
        [204, 401],
        [400, 204],
      ])
      const won = byMail.statusCode === 204 ? 'reset' : 'changed'
      expect((await t.login({ email, password: `${NEXT} ${won}` })).statusCode).toBe(200)
      if (won === 'reset') expect((await t.refresh(refreshToken)).statusCode).toBe(401)
    }
  })

  test('a disabled account gets no mail, and neither does an address without one', async () => {
    await using t = await createTestApp()
    const { email, userId } = await t.signUp()
    await disableUser(t.deps, byOperator(t.deps), userId)
    for (const address of [email, 'nobody@example.com']) expect((await forgot(t, address)).statusCode).toBe(202)
    expect(await delivered(t)).toEqual([])
    const trail = await auditOf(t, 'password.reset_requested')
    expect(new Set(trail.map(({ outcome, reason, user_id }) => `${outcome} ${reason} ${user_id}`))).toEqual(
      new Set(['failure unknown_user null', `failure user_disabled ${userId}`]),
    )
    expect(JSON.stringify(trail)).not.toContain('@')
  })

  test('the back-off and the disabling of the password are over with the reset', async () => {
    await using t = await createTestApp()
    const { email, userId } = await t.signUp()
    for (let i = 0; i < 5; i++) await t.login({ email, password: 'not the right phrase' })
    await t.db.updateTable('users').set({ password_disabled_at: t.deps.clock() }).where('id', '=', userId).execute()
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(429)
    const { token } = await mailedReset(t, email)
    expect((await reset(t, { token }, NEXT)).statusCode).toBe(204)
    expect((await t.login({ email, password: NEXT })).statusCode).toBe(200)
  })

  test('an account without a password gets one', async () => {
    await using t = await createTestApp()
    const { email, userId } = await t.signUp()
    await t.db.updateTable('users').set({ password_hash: null }).where('id', '=', userId).execute()
    const { token } = await mailedReset(t, email)
    expect((await reset(t, { token }, NEXT)).statusCode).toBe(204)
    expect((await t.login({ email, password: NEXT })).statusCode).toBe(200)
  })
})

test('three mails an hour and ten a day go to one address, and the newest link stays good', async () => {
  await using t = await createTestApp()
  const { email } = await t.signUp()
  let newest = await mailedReset(t, email)
  for (let hour = 0; hour < 4; hour++) {
    for (let asked = hour === 0 ? 1 : 0; asked < (hour === 3 ? 1 : 3); asked++) newest = await mailedReset(t, email)
    for (let more = 0; more < 2; more++) {
      expect((await forgot(t, email)).statusCode).toBe(202)
      expect(await delivered(t)).toEqual([])
    }
    if (hour < 3) t.travel(3601)
  }
  expect((await reset(t, { token: newest.token }, NEXT)).statusCode).toBe(204)
})

test('without mail there is nothing of the kind', async () => {
  await using t = await createTestApp({
    env: { NODE_ENV: 'production', ISSUER: 'https://auth.example.com', LOG_LEVEL: 'info' },
  })
  expect(t.config.mail).toBe('off')
  expect(outcomeOf(await forgot(t, 'ada@example.com'))).toEqual([404, 'not_found'])
  expect(outcomeOf(await reset(t, { token: 'x' }, NEXT))).toEqual([404, 'not_found'])
})

test.each([
  [{}],
  [{ token: 'x', code: '12345678' }],
  [{ token: 'x', email: 'ada@example.com' }],
  [{ email: 'ada@example.com' }],
  [{ code: '12345678' }],
])('what is mailed is the token alone, or the address and the code: %j is neither', async (mailed) => {
  await using t = await createTestApp()
  const answer = await post(t, '/password/reset', { ...mailed, new_password: NEXT })
  expect(outcomeOf(answer)).toEqual([400, 'invalid_request'])
  expect(answer.json().detail).toBe('Send either token, or email and code.')
})
