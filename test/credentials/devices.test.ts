import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test, vi } from 'vitest'
import { deriveServerKeys } from '../../src/config/secrets.ts'
import { authenticateDevice, mintDevice } from '../../src/tokens/device.ts'
import { enableUser, findUser, setPassword } from '../../src/users/accounts.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, visible } from '../users/support.ts'

const email = 'ada@example.com'
const WRONG = 'not my password'
const DEVICE_COOKIE = '__Host-device'

const guess = (t: TestApp, device_token?: string, who = email) =>
  t.login({ email: who, password: WRONG, ...(device_token && { device_token }) })
const right = (t: TestApp, device_token?: string, who = email) =>
  t.login({ email: who, password: TEST_PASSWORD, ...(device_token && { device_token }) })

/** Registers, and signs in on a device. @returns its token. */
async function knownDevice(t: TestApp, who = email): Promise<string> {
  expect((await t.register(who, TEST_PASSWORD)).statusCode).toBe(201)
  const answer = await right(t, undefined, who)
  expect(answer.statusCode).toBe(200)
  return answer.json().device_token
}

/** A stranger who knows the address, and no device. */
async function attack(t: TestApp, who = email): Promise<void> {
  for (let i = 0; i < 5; i++) expect((await guess(t, undefined, who)).statusCode).toBe(401)
  expect((await guess(t, undefined, who)).statusCode).toBe(429)
}

async function counters(t: TestApp) {
  return await t.db.selectFrom('login_failures').select(['of_device', 'failures']).orderBy('of_device').execute()
}

const idOf = (t: TestApp, token: string) => authenticateDevice(t.deps.serverKeys, t.deps.clock(), token)?.id

describe('while a stranger keeps an account in back-off', () => {
  test('its owner signs in on a known device, and nowhere else', async () => {
    await using t = await createTestApp()
    const device = await knownDevice(t)
    await attack(t)
    expect((await right(t)).statusCode).toBe(429)
    const answer = await right(t, device)
    expect(answer.statusCode).toBe(200)
    // It is still the same device.
    expect(idOf(t, answer.json().device_token)).toEqual(idOf(t, device))
    // A success forgets all failures of the account, as any other does.
    expect(await counters(t)).toEqual([])
  })

  test('the cookie of a browser makes it known, also after signing out', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const browser = { email, password: TEST_PASSWORD, client_id: 'web' }
    const first = await t.login(browser)
    const device = cookieOf(first, DEVICE_COOKIE)
    const headers = { origin: new URL(t.config.ISSUER).origin }
    const cookie = `__Host-refresh_token=${cookieOf(first, '__Host-refresh_token')}; ${DEVICE_COOKIE}=${device}`
    const out = await t.inject({ method: 'POST', url: '/logout', headers: { ...headers, cookie } })
    expect([out.statusCode, String(out.headers['set-cookie'])]).toEqual([204, expect.not.stringContaining('device')])
    await attack(t)
    expect((await t.login(browser)).statusCode).toBe(429)
    expect((await t.login(browser, { cookie: `${DEVICE_COOKIE}=${device}` })).statusCode).toBe(200)
  })

  test('a device that was stolen is held off by itself, and its failures are not those of the account', async () => {
    await using t = await createTestApp()
    const device = await knownDevice(t)
    for (let i = 0; i < 5; i++) expect((await guess(t, device)).statusCode).toBe(401)
    const heldOff = await right(t, device)
    expect(heldOff.statusCode).toBe(429)
    expect(Number(heldOff.headers['retry-after'])).toBeGreaterThan(25)
    // Others see the account as if nothing had happened.
    expect(await counters(t)).toEqual([{ of_device: true, failures: 5 }])
    for (let i = 0; i < 4; i++) expect((await guess(t)).statusCode).toBe(401)
    expect((await right(t)).statusCode).toBe(200)
    expect(await counters(t)).toEqual([])
  })
})

describe('a token that is not of a device of the account is as none', () => {
  test.each<[string, (t: TestApp) => string | Promise<string>]>([
    ['of another user', async (t) => await knownDevice(t, 'eve@example.com')],
    ['made up', () => `dt1_${randomBytes(54).toString('base64url')}`],
    ['malformed', () => 'x'],
    [
      'made under another secret for the right user',
      async (t) => {
        const twin = { ...deriveServerKeys(randomBytes(32)), id: t.deps.serverKeys[0].id }
        return mintDevice([twin], t.deps.clock(), (await findUser(t.db, email)).id)
      },
    ],
    ['that is a year old', async (t) => mintDevice(t.deps.serverKeys, new Date(0), (await findUser(t.db, email)).id)],
  ])('%s', async (_what, make) => {
    await using t = await createTestApp()
    await knownDevice(t)
    const token = await make(t)
    for (let i = 0; i < 3; i++) expect((await guess(t, token)).statusCode).toBe(401)
    for (let i = 0; i < 2; i++) expect((await guess(t)).statusCode).toBe(401)
    // One counter for all of them.
    expect(await counters(t)).toEqual([{ of_device: false, failures: 5 }])
    expect((await right(t, token)).statusCode).toBe(429)
  })

  test('and tells nobody which accounts exist', async () => {
    await using t = await createTestApp()
    await knownDevice(t)
    const foreign = await knownDevice(t, 'eve@example.com')
    const seen = []
    for (const who of [email, 'nobody@example.com']) {
      const answers = []
      for (let i = 0; i < 5; i++) answers.push(visible(await guess(t, foreign, who)))
      const { headers, ...rest } = visible(await guess(t, foreign, who))
      seen.push([...answers, { ...rest, headers: { ...headers, 'retry-after': Number(headers['retry-after']) > 27 } }])
    }
    expect(seen[1]).toEqual(seen[0])
  })

  test('a wrong password answers the same with a device of the account as without', async () => {
    await using t = await createTestApp()
    const device = await knownDevice(t)
    expect(visible(await guess(t, device))).toEqual(visible(await guess(t)))
  })
})

test('of fifty wrong passwords at once from a known device at most five reach the hash', async () => {
  await using t = await createTestApp()
  await using other = await createTestApp({ join: t })
  const device = await knownDevice(t)
  const hashers = [t, other].map((each) => vi.spyOn(each.deps.hasher, 'verify'))
  const answers = await atOnce(50, (index) => guess(index % 2 ? t : other, device))
  const statuses = answers.map((answer) => answer.statusCode)
  expect(hashers.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBe(5)
  expect(statuses.filter((status) => status === 401)).toHaveLength(5)
  expect(statuses.filter((status) => status === 429)).toHaveLength(45)
})

describe('the hundredth failure of an account', () => {
  /** Sets the counters of the account and of a device, and lets the next attempts pass. */
  async function at(t: TestApp, failures: { ofAccount: number; ofDevice: number }): Promise<void> {
    for (const of_device of [true, false]) {
      const count = of_device ? failures.ofDevice : failures.ofAccount
      await t.db
        .updateTable('login_failures')
        .set({ failures: count, blocked_until: new Date(0) })
        .where('of_device', '=', of_device)
        .execute()
    }
  }

  test.each(['the account', 'its device'])('is counted over all its counters, here by %s', async (counter) => {
    await using t = await createTestApp()
    const device = await knownDevice(t)
    await guess(t)
    await guess(t, device)
    await at(t, { ofAccount: 50, ofDevice: 48 })
    const last = counter === 'the account' ? undefined : device
    expect((await guess(t, last)).statusCode).toBe(401)
    expect(await findUser(t.db, email)).toMatchObject({ passwordDisabled: false })
    await at(t, { ofAccount: 50, ofDevice: 49 })
    expect((await guess(t, last)).statusCode).toBe(401)
    expect(await findUser(t.db, email)).toMatchObject({ passwordDisabled: true })
    expect(await auditOf(t, 'login.password_disabled')).toHaveLength(1)
    t.travel(3601)
    for (const token of [undefined, device]) expect((await right(t, token)).statusCode).toBe(401)

    await enableUser(t.deps, byOperator(t.deps), email)
    expect(await counters(t)).toEqual([])
    expect((await right(t, device)).statusCode).toBe(200)
  })

  test('counts each failure once while two secrets are listed', async () => {
    const secret = (name: string) => createHash('sha256').update(`devices ${name}`).digest('base64')
    await using t = await createTestApp({ env: { CLAVIGER_SECRET: `${secret('new')},${secret('old')}` } })
    const device = await knownDevice(t)
    await guess(t)
    await guess(t, device)
    await at(t, { ofAccount: 60, ofDevice: 1 })
    expect((await guess(t, device)).statusCode).toBe(401)
    expect(await findUser(t.db, email)).toMatchObject({ passwordDisabled: false })
    await using after = await createTestApp({ join: t, env: { CLAVIGER_SECRET: secret('new') } })
    await at(t, { ofAccount: 60, ofDevice: 1 })
    expect((await guess(after, device)).statusCode).toBe(401)
    expect((await guess(after)).statusCode).toBe(401)
    expect(await findUser(t.db, email)).toMatchObject({ passwordDisabled: false })
  })
})

test('a new password forgets the failures of devices too', async () => {
  await using t = await createTestApp()
  const device = await knownDevice(t)
  for (let i = 0; i < 5; i++) await guess(t, device)
  await setPassword(t.deps, byOperator(t.deps), email, 'seven loud herons')
  expect(await counters(t)).toEqual([])
  // The device is not forgotten: with the new password it signs in while a stranger is at work.
  await attack(t)
  const answer = await t.login({ email, password: 'seven loud herons', device_token: device })
  expect(answer.statusCode).toBe(200)
})

describe('a browser', () => {
  const who = (number: number) => `user-${number}@example.com`

  test('keeps the devices of the five users who signed in last', async () => {
    await using t = await createTestApp()
    let jar = ''
    for (let number = 0; number < 6; number++) {
      await t.register(who(number), TEST_PASSWORD)
      jar = await signInWith(t, jar, who(number))
    }
    expect(jar.split('.')).toHaveLength(5)
    // Signing in again moves a user to the front, and brings no second token.
    jar = await signInWith(t, jar, who(2))
    expect(jar.split('.')).toHaveLength(5)
    for (let number = 0; number < 6; number++) {
      await attack(t, who(number))
      const answer = await t.login(
        { email: who(number), password: TEST_PASSWORD, client_id: 'web' },
        { cookie: `${DEVICE_COOKIE}=${jar}` },
      )
      expect(answer.statusCode, who(number)).toBe(number === 0 ? 429 : 200)
    }
  })

  test('is not asked for more devices than it keeps', async () => {
    await using t = await createTestApp()
    const device = await knownDevice(t)
    await attack(t)
    const others = Array.from({ length: 5 }, () => mintDevice(t.deps.serverKeys, t.deps.clock(), randomUUID()))
    for (const [tokens, status] of [
      [[...others, device], 429],
      [[...others.slice(1), device], 200],
    ] as const) {
      const cookie = `${DEVICE_COOKIE}=${tokens.join('.')}`
      const answer = await t.login({ email, password: TEST_PASSWORD, client_id: 'web' }, { cookie })
      expect(answer.statusCode).toBe(status)
    }
  })

  test('does not keep what is not ours', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const jar = await signInWith(t, `x.dt1_${'A'.repeat(72)}.`, email)
    expect(jar).toMatch(/^dt1_[\w-]{72}$/)
  })

  test('is not told the token in the body, and a native client gets no cookie', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    const web = await t.login({ email, password: TEST_PASSWORD, client_id: 'web' })
    expect(web.json()).not.toHaveProperty('device_token')
    expect(web.headers['set-cookie']).toEqual([
      expect.stringMatching(/^__Host-refresh_token=/),
      expect.stringMatching(
        /^__Host-device=dt1_[\w-]{72}; Max-Age=31536000; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
      ),
    ])
    const native = await right(t)
    expect(native.json().device_token).toMatch(/^dt1_/)
    expect(native.headers['set-cookie']).toBeUndefined()
  })

  test('cannot pass the token of a native client in the body', async () => {
    await using t = await createTestApp()
    const device_token = await knownDevice(t)
    await attack(t)
    const answer = await t.login({ email, password: TEST_PASSWORD, client_id: 'web', device_token })
    expect(answer.statusCode).toBe(429)
  })

  async function signInWith(t: TestApp, jar: string, address: string): Promise<string> {
    const body = { email: address, password: TEST_PASSWORD, client_id: 'web' }
    const answer = await t.login(body, { cookie: `${DEVICE_COOKIE}=${jar}` })
    expect(answer.statusCode).toBe(200)
    return cookieOf(answer, DEVICE_COOKIE)
  }
})

test('a refresh says nothing of devices', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  const { refresh_token } = (await right(t)).json()
  expect((await t.refresh(refresh_token)).json()).not.toHaveProperty('device_token')
})

function cookieOf(answer: LightMyRequestResponse, name: string): string {
  const value = answer.cookies.find((cookie) => cookie.name === name)?.value
  if (value === undefined) throw new Error(`the reply sets no ${name}`)
  return value
}
