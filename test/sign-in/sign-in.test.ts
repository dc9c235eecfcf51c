import argon2 from 'argon2'
import { describe, expect, test, vi } from 'vitest'
import { computeHere } from '../../src/credentials/passwords/argon2.ts'
import { createPasswordHasher } from '../../src/credentials/passwords/hasher.ts'
import { createUser, disableUser } from '../../src/users/accounts.ts'
import { createTestApp, refreshTokenOf, TEST_PASSWORD } from '../support/app.ts'
import { countLockWaits } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, liveFamilies, statements, visible } from '../users/support.ts'

const email = 'ada@example.com'
const COOKIE = '__Host-refresh_token'

describe('success', () => {
  test('a browser gets the refresh token in the cookie, a native client in the body', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const web = await t.login({ email: 'ADA@EXAMPLE.com', password: TEST_PASSWORD, client_id: undefined })
    expect(web.statusCode).toBe(200)
    expect(web.json()).not.toHaveProperty('refresh_token')
    const attributes = { httpOnly: true, secure: true, sameSite: 'Strict', path: '/' }
    expect(web.cookies).toMatchObject([
      { name: COOKIE, ...attributes },
      { name: '__Host-device', ...attributes, maxAge: 365 * 24 * 3600 },
    ])
    expect(web.cookies[0]).not.toHaveProperty('maxAge')
    const native = await t.login({ email, password: TEST_PASSWORD })
    expect(native.json()).toMatchObject({
      token_type: 'Bearer',
      refresh_token: expect.stringMatching(/^rt1_/),
      user: { email },
    })
    expect(native.cookies).toEqual([])
    const events = await auditOf(t, 'login')
    expect(events).toMatchObject([
      { outcome: 'success', client_id: 'web', actor: `user:${web.json().user.id}` },
      { outcome: 'success', client_id: 'native', actor: `user:${web.json().user.id}` },
    ])
    expect(events[0]?.family_id).not.toBe(events[1]?.family_id)
  })

  test('remember gives the cookie a lifetime', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const answer = await t.login({ email, password: TEST_PASSWORD, client_id: 'web', remember: true })
    expect(answer.cookies[0]?.maxAge).toBe(answer.json().refresh_expires_in)
    expect(answer.json().refresh_expires_in).toBe(t.config.REMEMBER_IDLE_SECONDS)
  })

  test('the password verifies in either normal form', async () => {
    await using t = await createTestApp()
    await t.register(email, 'caf\u00e9 au lait pur')
    expect((await t.login({ email, password: 'cafe\u0301 au lait pur' })).statusCode).toBe(200)
    expect((await t.login({ email, password: 'cafe au lait pur' })).statusCode).toBe(401)
  })

  test('ends the session of the cookie that came along, and takes nothing from it', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const eve = await t.register('eve@example.com', TEST_PASSWORD)
    const old = refreshTokenOf(await t.login({ email: 'eve@example.com', password: TEST_PASSWORD, client_id: 'web' }))
    const answer = await t.login({ email, password: TEST_PASSWORD, client_id: 'web' }, { cookie: `${COOKIE}=${old}` })
    expect(answer.json().user.email).toBe(email)
    expect(await liveFamilies(t, eve.json().user.id)).toEqual([])
    expect((await t.refresh(old, { via: 'cookie' })).statusCode).toBe(401)
    expect(await auditOf(t, 'session.ended')).toMatchObject([{ reason: 'replaced_by_login' }])
  })

  test('a native client that sends a cookie ends nothing with it', async () => {
    await using t = await createTestApp()
    const { json } = await t.register(email, TEST_PASSWORD)
    const old = refreshTokenOf(await t.login({ email, password: TEST_PASSWORD, client_id: 'web' }))
    await t.login({ email, password: TEST_PASSWORD }, { cookie: `${COOKIE}=${old}` })
    expect(await liveFamilies(t, json().user.id)).toHaveLength(2)
  })
})

test('a sign-in takes three statements besides its limits, BEGIN and COMMIT; a refusal as many', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  let device_token: string | undefined
  const attempt = (password: string) =>
    statements(t, async () => {
      const reply = (await t.login({ email, password, ...(device_token && { device_token }) })).json()
      device_token = reply.device_token ?? device_token
    })
  // The first of all is noted.
  expect(await attempt(TEST_PASSWORD)).toHaveLength(4)
  expect(await attempt(TEST_PASSWORD)).toHaveLength(3)
  expect(await attempt('not my password')).toHaveLength(3)
  expect(await attempt(TEST_PASSWORD)).toHaveLength(3)
  device_token = undefined
  // On a device that is not known there is a mail: whether there were enough, the mail, and the audit event.
  expect(await attempt(TEST_PASSWORD)).toHaveLength(6)
  expect(await t.db.selectFrom('login_failures').selectAll().execute()).toEqual([])
})

describe('one answer for everything that is wrong with the credentials', () => {
  test('status, body, headers, hashes and statements are equal', async () => {
    await using t = await createTestApp({ computeTag: computeHere })
    await t.register(email, TEST_PASSWORD)
    await t.register('disabled@example.com', TEST_PASSWORD)
    await disableUser(t.deps, byOperator(t.deps), 'disabled@example.com')
    await createUser(t.deps, byOperator(t.deps), { email: 'passwordless@example.com', password: null, roles: [] })
    const locked = (await t.register('locked@example.com', TEST_PASSWORD)).json().user.id
    await t.login({ email: 'locked@example.com', password: 'wrong' })
    await t.db.updateTable('login_failures').set({ failures: 100 }).where('user_id', '=', locked).execute()
    await t.db.updateTable('users').set({ password_disabled_at: t.deps.clock() }).where('id', '=', locked).execute()
    await t.register('eve@example.com', TEST_PASSWORD)
    const { device_token } = (await t.login({ email: 'eve@example.com', password: TEST_PASSWORD })).json()
    // Every counter exists, so that no case differs by an insert.
    for (const name of ['ada', 'nobody', 'disabled', 'passwordless']) {
      await t.login({ email: `${name}@example.com`, password: 'wrong' })
    }
    const verify = vi.spyOn(t.deps.hasher, 'verify')
    const computed = vi.spyOn(argon2, 'hash')
    const cases = [
      { email: 'nobody@example.com', password: TEST_PASSWORD },
      { email, password: 'not my password' },
      { email: 'disabled@example.com', password: TEST_PASSWORD },
      { email: 'disabled@example.com', password: 'not my password' },
      { email: 'passwordless@example.com', password: ''.padEnd(8, 'x') },
      { email: 'locked@example.com', password: TEST_PASSWORD },
      { email: 'nobody@example.com', password: TEST_PASSWORD, device_token },
      { email, password: 'not my password', device_token },
    ]
    const seen = []
    for (const body of cases) {
      // None differs by a failure that is only counted, as the second of a minute is.
      t.travel(60)
      verify.mockClear()
      computed.mockClear()
      let answer: Awaited<ReturnType<typeof t.login>> | undefined
      const sent = await statements(t, async () => {
        answer = await t.login(body)
      })
      const costs = computed.mock.calls.map(([, options]) => [options?.memoryCost, options?.timeCost])
      seen.push({ ...visible(answer as NonNullable<typeof answer>), sent, verified: verify.mock.calls.length, costs })
    }
    expect(seen[0]).toMatchObject({
      status: 401,
      body: { code: 'invalid_credentials' },
      verified: 1,
      costs: [[19456, 2]],
    })
    for (const one of seen) expect(one).toEqual(seen[0])
    const reasons = (await auditOf(t, 'login')).slice(-cases.length).map((event) => event.reason)
    expect(reasons).toEqual([
      'unknown_user',
      'wrong_password',
      'user_disabled',
      'wrong_password',
      'no_password',
      'password_disabled',
      'unknown_user',
      'wrong_password',
    ])
  })

  test('whatever kinds of hashes there are, each refusal computes all of them, in one order', async () => {
    await using t = await createTestApp({ computeTag: computeHere })
    const kinds = { older: [4096, 1], stronger: [24576, 2] } as const
    for (const name of ['older', 'stronger', 'present']) await t.register(`${name}@example.com`, TEST_PASSWORD)
    for (const [name, [memoryKib, passes]] of Object.entries(kinds)) {
      const hasher = createPasswordHasher({ memoryKib, passes, concurrency: 1, queue: 1 })
      await t.db
        .updateTable('users')
        .set({ password_hash: await hasher.hash(TEST_PASSWORD) })
        .where('email', '=', `${name}@example.com`)
        .execute()
    }
    await t.register('disabled@example.com', TEST_PASSWORD)
    await disableUser(t.deps, byOperator(t.deps), 'disabled@example.com')
    const computed = vi.spyOn(argon2, 'hash')
    for (const name of ['older', 'stronger', 'present', 'nobody', 'disabled']) {
      computed.mockClear()
      const password = name === 'disabled' ? TEST_PASSWORD : 'not my password'
      expect((await t.login({ email: `${name}@example.com`, password })).statusCode).toBe(401)
      expect(computed.mock.calls.map(([, options]) => [options?.memoryCost, options?.timeCost])).toEqual([
        [19456, 2],
        [24576, 2],
        [4096, 1],
      ])
    }
  })

  test('the trail of a failure holds an HMAC of what was typed, never the text', async () => {
    await using t = await createTestApp()
    await t.login({ email: 'hunter2hunter2@example.com', password: 'secret thing here' })
    const rows = JSON.stringify([
      await auditOf(t, 'login'),
      await t.db.selectFrom('login_failures').selectAll().execute(),
      t.logs,
    ])
    expect(rows).not.toContain('hunter2')
    expect(rows).not.toContain('secret thing')
    const [event] = await auditOf(t, 'login')
    expect(event).toMatchObject({
      user_id: null,
      details: { identifier: expect.stringMatching(/^[0-9a-f]{64}$/), failures: 1 },
    })
  })
})

describe('refused before any hash', () => {
  test.each([
    ['ill-formed address', { email: 'not an address' }, {}, 400, 'invalid_email'],
    ['unknown client', { client_id: 'constructor' }, {}, 400, 'invalid_client'],
    ['unknown scope', { scope: 'account everything' }, {}, 400, 'invalid_scope'],
    ['unknown audience', { audience: 'https://elsewhere.example' }, {}, 400, 'invalid_target'],
    ['undeclared field', { otp: '123456' }, {}, 400, 'invalid_request'],
    ['foreign origin', { client_id: 'web' }, { origin: 'https://evil.example' }, 403, 'origin_not_allowed'],
    ['no origin to speak of', { client_id: 'web' }, { origin: 'null' }, 403, 'origin_not_allowed'],
    ['native client in a page', {}, { origin: 'http://localhost:3000' }, 403, 'origin_not_allowed'],
  ])('%s', async (_what, body, headers, status, code) => {
    await using t = await createTestApp()
    const verify = vi.spyOn(t.deps.hasher, 'verify')
    const answer = await t.login({ email, password: TEST_PASSWORD, ...body }, headers)
    expect([answer.statusCode, answer.json().code]).toEqual([status, code])
    expect(verify).not.toHaveBeenCalled()
    expect(await t.db.selectFrom('login_failures').selectAll().execute()).toEqual([])
  })
})

describe('the stored hash', () => {
  const hashOf = async (t: Awaited<ReturnType<typeof createTestApp>>) =>
    (await t.db.selectFrom('users').select('password_hash').executeTakeFirstOrThrow()).password_hash
  const hashedWith = async (memoryKib: number, passes: number) =>
    createPasswordHasher({ memoryKib, passes, concurrency: 1, queue: 1 }).hash(TEST_PASSWORD)

  test('a weaker one is made anew at a success, and only then', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const weak = await hashedWith(4096, 1)
    await t.db.updateTable('users').set({ password_hash: weak }).execute()
    await t.login({ email, password: 'not my password' })
    expect(await hashOf(t)).toBe(weak)
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(200)
    const renewed = await hashOf(t)
    expect(renewed).toMatch(/\$m=19456,t=2,p=1\$/)
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(200)
    expect(await hashOf(t)).toBe(renewed)
  })

  test('a stronger one stays', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const strong = await hashedWith(32768, 3)
    await t.db.updateTable('users').set({ password_hash: strong }).execute()
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(200)
    expect(await hashOf(t)).toBe(strong)
  })

  test('that it cannot be made anew is no reason to refuse', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await t.db
      .updateTable('users')
      .set({ password_hash: await hashedWith(4096, 1) })
      .execute()
    vi.spyOn(t.deps.hasher, 'hash').mockRejectedValue(new Error('out of memory'))
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(200)
  })

  test('two sign-ins that renew it at once both succeed', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await t.db
      .updateTable('users')
      .set({ password_hash: await hashedWith(4096, 1) })
      .execute()
    const answers = await Promise.all([1, 2, 3].map(() => t.login({ email, password: TEST_PASSWORD })))
    expect(answers.map((answer) => answer.statusCode)).toEqual([200, 200, 200])
  })

  test('one that nobody can read is a wrong password, not an error', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await t.db.updateTable('users').set({ password_hash: '$argon2id$broken' }).execute()
    expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(401)
  })
})

describe('what changes while the password is being checked', () => {
  /** Runs `meanwhile` when the right password has been verified and before anything is written. */
  async function during(meanwhile: (t: Awaited<ReturnType<typeof createTestApp>>, id: string) => Promise<unknown>) {
    await using t = await createTestApp()
    const id = (await t.register(email, TEST_PASSWORD)).json().user.id as string
    const verify = t.deps.hasher.verify
    vi.spyOn(t.deps.hasher, 'verify').mockImplementationOnce(async (...args) => {
      const matches = await verify(...args)
      await meanwhile(t, id)
      return matches
    })
    const answer = await t.login({ email, password: TEST_PASSWORD })
    return { answer, live: await liveFamilies(t, id) }
  }

  test('a disabled user starts no session', async () => {
    const { answer, live } = await during((t, id) => disableUser(t.deps, byOperator(t.deps), id))
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_credentials'])
    expect(live).toEqual([])
  })

  test('a changed password starts no session for the old one', async () => {
    const { answer, live } = await during(async (t) =>
      t.db
        .updateTable('users')
        .set({ password_hash: await t.deps.hasher.hash('another one entirely') })
        .execute(),
    )
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_credentials'])
    expect(live).toEqual([])
  })

  test.each([
    ['disabled', { disabled_at: new Date() }],
    ['given another hash', { password_hash: '$argon2id$another' }],
  ])('a user who is %s by whom the sign-in waits for starts no session', async (_what, change) => {
    let done: Promise<unknown> = Promise.resolve()
    let waited = false
    const { answer, live } = await during(async (t, id) => {
      const { promise: changed, resolve: tell } = Promise.withResolvers<void>()
      done = t.db.transaction().execute(async (tx) => {
        await tx.updateTable('users').set(change).where('id', '=', id).execute()
        tell()
        // Until the sign-in stands in line for the row.
        for (let tries = 0; tries < 500 && !waited; tries++) {
          waited = (await countLockWaits(t.db)) > 0
        }
      })
      await changed
    })
    await done
    expect(waited).toBe(true)
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_credentials'])
    expect(live).toEqual([])
  })

  test('the same password hashed anew is still right', async () => {
    const { answer, live } = await during(async (t) =>
      t.db
        .updateTable('users')
        .set({ password_hash: await t.deps.hasher.hash(TEST_PASSWORD) })
        .execute(),
    )
    expect(answer.statusCode).toBe(200)
    expect(live).toHaveLength(1)
  })
})
