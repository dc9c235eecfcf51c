import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { settleAttempt } from '../../src/credentials/attempt-queries.ts'
import { pruneSprays } from '../../src/credentials/pruning.ts'
import { failedFrom } from '../../src/credentials/sprays.ts'
import { connect } from '../../src/db/connect.ts'
import type { Db } from '../../src/db/schema.ts'
import { HOUR, MINUTE } from '../../src/durations.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { haveFailedFrom } from '../support/sprays.ts'
import { auditOf } from '../users/support.ts'

let t: TestApp
beforeAll(async () => {
  t = await createTestApp()
})
afterAll(() => t[Symbol.asyncDispose]())
beforeEach(async () => {
  await t.db.deleteFrom('login_sprays').execute()
})

const start = new Date('2026-03-01T12:00:00.000Z')
const after = (ms: number) => new Date(start.getTime() + ms)
/** The decision on an attempt that has failed. @returns whether it was the one too many. */
const fail = async (account: number, address: string | null = '198.51.100.7', now = start, { db }: { db: Db } = t) => {
  const failed = failedFrom(t.deps.serverKeys, address, `user-${account}@example.com`)
  const attempt = { identifiers: [], failures: 1, ofAccount: 1, blockedUntil: start }
  return await settleAttempt(db, { now, attempt, failed })
}
const failAll = async (from: number, to: number, address?: string, now?: Date) => {
  const spray: number[] = []
  for (let account = from; account <= to; account++) if (await fail(account, address, now)) spray.push(account)
  return spray
}
const rows = () => t.db.selectFrom('login_sprays').selectAll().orderBy('prefix').execute()

describe('a spray', () => {
  test('is the 51st account within ten minutes, from wherever in the /24, and is told once', async () => {
    for (let account = 1; account <= 50; account++) expect(await fail(account, `198.51.100.${account}`)).toBe(false)
    expect(await failAll(1, 50), 'the same again').toEqual([])
    expect(await failAll(51, 60, '198.51.101.1'), 'another network').toEqual([])
    expect(await failAll(61, 120)).toEqual([61])
    expect(await rows()).toMatchObject([
      { prefix: '198.51.100.0/24', accounts: [], failed_at: [], shrunk_until: after(HOUR) },
      { prefix: '198.51.101.0/24', shrunk_until: null },
    ])
  })

  test('comes from a /48 of IPv6', async () => {
    for (let account = 1; account <= 50; account++) await fail(account, `2001:db8:1:${account}::1`)
    expect(await fail(51, '2001:db8:2::1')).toBe(false)
    expect(await fail(51, '2001:db8:1:ffff::1')).toBe(true)
  })

  test('is seen whenever the ten minutes begin, and a failure that is older counts no more', async () => {
    await failAll(1, 40)
    await failAll(41, 50, undefined, after(6 * MINUTE))
    expect(await failAll(51, 90, undefined, after(11 * MINUTE))).toEqual([])
    expect((await rows())[0]?.accounts).toHaveLength(50)
    expect(await failAll(91, 91, undefined, after(15 * MINUTE))).toEqual([91])
  })

  test('is detected again once the hour is over', async () => {
    await failAll(1, 51)
    expect(await failAll(52, 110, undefined, after(HOUR - 1))).toEqual([])
    expect(await failAll(1, 51, undefined, after(HOUR))).toEqual([51])
  })

  test('is found once, whoever counts at the same moment', async () => {
    const replica = connect({ url: t.databaseUrl, size: 10 })
    try {
      const found = await atOnce(100, (index) => fail(index, undefined, start, index % 2 ? replica : t))
      expect(found.filter(Boolean)).toHaveLength(1)
      await t.db.deleteFrom('login_sprays').execute()
      const few = await atOnce(100, (index) => fail(index % 50, undefined, start, index % 2 ? replica : t))
      expect(few.filter(Boolean)).toEqual([])
    } finally {
      await replica.db.destroy()
    }
  })

  test('a failure with no address is noted nowhere', async () => {
    expect(await fail(1, null)).toBe(false)
    expect(await rows()).toEqual([])
  })
})

test('networks are forgotten when nobody failed from there for ten minutes and their budget is whole', async () => {
  await fail(1, '198.51.100.1')
  await failAll(1, 51, '203.0.113.1')
  const remove = (ms: number) => pruneSprays.remove(t.db, after(ms), 10)
  expect(await remove(10 * MINUTE)).toBe(0)
  expect(await remove(10 * MINUTE + 1)).toBe(1)
  expect(await remove(HOUR)).toBe(0)
  expect(await remove(HOUR + 1)).toBe(1)
})

describe('over HTTP', () => {
  const signIn = (app: TestApp, email: string, password: string, remoteAddress: string) =>
    app.inject({
      method: 'POST',
      url: '/login',
      remoteAddress,
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify({ email, password, client_id: 'native' }),
    })

  test('the network has a tenth for an hour, others notice nothing, and who knows a password gets in', async () => {
    await using app = await createTestApp({ env: { RATE_LIMIT_LOGIN_PER_MINUTE: '20' } })
    await app.register('ada@example.com', TEST_PASSWORD)
    await app.register('eve@example.com', TEST_PASSWORD)
    await haveFailedFrom(app.db, '198.51.100.0/24', app.deps.clock(), 48)
    // Whether or not there is an account.
    for (const name of ['eve', 'nobody', 'nobody', 'no-one'])
      expect((await signIn(app, `${name}@example.com`, 'not my password', '198.51.100.1')).statusCode).toBe(401)
    const events = await auditOf(app, 'login.spray_detected')
    expect(events).toMatchObject([
      { actor: 'server', address: '198.51.100.1', user_id: null, details: { accounts: 51 } },
    ])
    expect((await app.deps.metrics.sprays.get()).values[0]?.value).toBe(1)

    const status = async (address: string) => (await signIn(app, 'ada@example.com', TEST_PASSWORD, address)).statusCode
    expect([await status('198.51.100.2'), await status('198.51.100.2')]).toEqual([200, 200])
    const refused = await signIn(app, 'ada@example.com', TEST_PASSWORD, '198.51.100.2')
    expect([refused.statusCode, refused.json()['violated-policies']]).toEqual([429, ['login-ip']])
    for (let sent = 0; sent < 5; sent++) expect(await status('198.51.101.2')).toBe(200)
    app.travel(61)
    expect(await status('198.51.100.2')).toBe(200)
    app.travel(3600)
    for (let sent = 0; sent < 5; sent++) expect(await status('198.51.100.2')).toBe(200)
  })

  test('an account that signs in after all counts no more', async () => {
    await using app = await createTestApp()
    await app.register('ada@example.com', TEST_PASSWORD)
    await haveFailedFrom(app.db, '198.51.100.0/24', app.deps.clock(), 49)
    await signIn(app, 'ada@example.com', 'mistyped', '198.51.100.1')
    expect((await signIn(app, 'ada@example.com', TEST_PASSWORD, '198.51.100.9')).statusCode).toBe(200)
    await signIn(app, 'eve@example.com', 'not my password', '198.51.100.1')
    expect(await auditOf(app, 'login.spray_detected')).toEqual([])
    await signIn(app, 'nobody@example.com', 'not my password', '198.51.100.1')
    expect(await auditOf(app, 'login.spray_detected')).toHaveLength(1)
  })
})
