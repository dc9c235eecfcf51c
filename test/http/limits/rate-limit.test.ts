import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connect, type Database } from '../../../src/db/connect.ts'
import { leased, type Policy } from '../../../src/http/limits/policies.ts'
import { deleteStaleWindows, takingUnits } from '../../../src/http/limits/queries.ts'
import { createAllowance } from '../../../src/http/limits/rate-limit-store.ts'
import { atOnce } from '../../support/at-once.ts'
import { cloneDatabase, query, type TestDatabase } from '../../support/postgres.ts'
import { createHttpApp, type HttpApp } from '../support.ts'

let database: TestDatabase
let connection: Database
let now: Date
const clock = () => now
const travel = (ms: number): void => {
  now = new Date(now.getTime() + ms)
}

beforeAll(async () => {
  database = await cloneDatabase()
  connection = connect({ url: database.url, size: 10 })
})
afterAll(async () => {
  await connection.db.destroy()
  await database.drop()
})
beforeEach(async () => {
  now = new Date('2026-03-01T12:00:00.000Z')
  await connection.db.deleteFrom('rate_limits').execute()
})

const policy = (extra: Partial<Policy> = {}): Policy => ({
  name: 'login_per_minute',
  limit: 20,
  windowMs: 60_000,
  lease: 1,
  ...extra,
})
const allowance = (...of: Policy[]) => createAllowance({ db: connection.db, clock }, of)
const countAllowed = async (answers: Promise<{ allowed: boolean }>[]) =>
  (await Promise.all(answers)).filter(({ allowed }) => allowed).length
const rows = () =>
  connection.db.selectFrom('rate_limits').select(['policy', 'key', 'count', 'window_started_at']).execute()

test('allows exactly the limit, then nothing until the window ends', async () => {
  const spend = allowance(policy({ limit: 3 }))
  for (let request = 1; request <= 3; request++) expect((await spend('a')).allowed).toBe(true)
  travel(1000)
  expect(await spend('a')).toEqual({ allowed: false, policy: 'login_per_minute', remainingMs: 59_000 })
  expect((await spend('b')).allowed).toBe(true)
  travel(58_999)
  expect((await spend('a')).allowed).toBe(false)
  travel(1)
  expect((await spend('a')).allowed).toBe(true)
})

test('a window starts with its first request', async () => {
  const spend = allowance(policy({ limit: 1 }))
  await spend('a')
  travel(90_000)
  expect((await spend('a')).allowed).toBe(true)
  travel(59_999)
  expect(await spend('a')).toEqual({ allowed: false, policy: 'login_per_minute', remainingMs: 1 })
})

test.each([1, 2, 3, 7, 20, 50])('allows exactly the limit in a burst, with leases of %i', async (lease) => {
  const spend = allowance(policy({ lease }))
  expect(await countAllowed(Array.from({ length: 60 }, () => spend('a')))).toBe(20)
  expect(await countAllowed(Array.from({ length: 10 }, () => spend('a')))).toBe(0)
})

test.each([1, 3, 7])('two instances together never allow more, with leases of %i', async (lease) => {
  const one = allowance(policy({ lease }))
  const two = allowance(policy({ lease }))
  const burst = Array.from({ length: 100 }, (_, index) => (index % 2 ? one : two)('a'))
  expect(await countAllowed(burst)).toBe(20)
  // One is asked less than its last lease holds: what it does not spend is lost, not given to the other.
  travel(60_000)
  expect(await countAllowed([one('a')])).toBe(1)
  const rest = await countAllowed(Array.from({ length: 100 }, () => two('a')))
  expect(rest).toBe(20 - lease)
})

test.each([1, 4, 32])('of %i processes none is refused for what the others have leased', async (PROCESSES) => {
  const processes = Array.from({ length: PROCESSES }, () => allowance(leased('tested', 100, { PROCESSES })))
  const once = processes.map((spend) => spend('a'))
  expect(await countAllowed(once)).toBe(PROCESSES)
  // The rest of what one holds is all that the others may lack.
  const burst = Array.from({ length: 100 }, () => processes[0]?.('a') ?? Promise.reject(new Error('there is none')))
  const allowed = PROCESSES + (await countAllowed(burst))
  expect(allowed).toBeLessThanOrEqual(100)
  expect(allowed).toBeGreaterThanOrEqual(95)
})

test('a lease saves round trips, and lapses with its window', async () => {
  const spend = allowance(policy({ limit: 100, lease: 5 }))
  for (let request = 0; request < 6; request++) await spend('a')
  expect(await rows()).toMatchObject([{ policy: 'login_per_minute', key: 'a', count: 10 }])
  travel(60_000)
  await spend('a')
  expect(await rows()).toMatchObject([{ count: 5, window_started_at: now }])
})

test('refusals of an exhausted window cost no question', async () => {
  const spend = allowance(policy({ limit: 1 }))
  await countAllowed(Array.from({ length: 3 }, () => spend('a')))
  const before = await rows()
  await countAllowed(Array.from({ length: 50 }, () => spend('a')))
  expect(await rows()).toEqual(before)
})

test('two policies cost one statement, and what the first refuses does not count for the second', async () => {
  const minute = policy({ name: 'login_per_minute', limit: 2 })
  const hour = policy({ name: 'login_per_hour', limit: 5, windowMs: 3_600_000 })
  const spend = allowance(minute, hour)
  const counts = async () => Object.fromEntries((await rows()).map((row) => [row.policy, row.count]))
  for (let request = 1; request <= 2; request++) expect(await spend('a')).toEqual({ allowed: true })
  expect(await counts()).toEqual({ login_per_minute: 2, login_per_hour: 2 })
  // Another instance that has not heard yet that the minute is over.
  for (const instance of [spend, allowance(minute, hour), allowance(minute, hour)]) {
    expect(await instance('a')).toEqual({ allowed: false, policy: 'login_per_minute', remainingMs: 60_000 })
  }
  expect(await counts()).toEqual({ login_per_minute: 5, login_per_hour: 2 })
  travel(60_000)
  expect(await countAllowed([spend('a'), spend('a'), spend('a')])).toBe(2)
  travel(60_000)
  expect(await countAllowed([spend('a'), spend('a')])).toBe(1)
  expect(await spend('a')).toEqual({ allowed: false, policy: 'login_per_hour', remainingMs: 3_480_000 })
  travel(3_480_000)
  expect(await countAllowed([spend('a'), spend('a'), spend('a')])).toBe(2)
})

test.each([1, 3])(
  'of two policies the tighter one decides, whatever is asked at once, with leases of %i',
  async (lease) => {
    const list = [
      policy({ name: 'wide_per_minute', limit: 50, lease }),
      policy({ name: 'tight_per_minute', limit: 20, windowMs: 90_000, lease }),
    ]
    const [one, two] = [allowance(...list), allowance(...list)]
    expect(await countAllowed(Array.from({ length: 100 }, (_, index) => (index % 2 ? one : two)('a')))).toBe(20)
    travel(60_000)
    expect(await countAllowed([one('a'), two('a')])).toBe(0)
  },
)

describe('where a spray comes from the prefix of the address', () => {
  const minute = policy({ limit: 20, sprayed: 2 })
  const hour = policy({ name: 'login_per_hour', limit: 30, sprayed: 3, windowMs: 3_600_000 })
  const prefix = policy({ name: 'login_prefix_per_minute', limit: 5, of: 'prefix' })
  const sprayFrom = async (network: string, ms: number) =>
    await query(
      database.ownerUrl,
      `INSERT INTO login_sprays (prefix, accounts, failed_at, last_failed_at, shrunk_until)
       VALUES ('${network}', '{}', '{}', now(), '${new Date(now.getTime() + ms).toISOString()}')`,
    )
  beforeEach(async () => {
    await query(database.ownerUrl, 'DELETE FROM login_sprays')
  })

  test('each address has less, all together have as much as one had, and other networks what they had', async () => {
    await sprayFrom('198.51.100.0/24', 1_000_000)
    const [one, two] = [allowance(minute, hour, prefix), allowance(minute, hour, prefix)]
    expect([await one('198.51.100.1'), await two('198.51.100.1')]).toEqual([{ allowed: true }, { allowed: true }])
    for (const each of [one, two, one])
      expect(await each('198.51.100.1')).toMatchObject({ allowed: false, policy: 'login_per_minute' })
    expect(await countAllowed(['2', '2', '3', '3'].map((host) => one(`198.51.100.${host}`)))).toBe(3)
    expect(await two('198.51.100.4')).toMatchObject({ allowed: false, policy: 'login_prefix_per_minute' })
    expect(await countAllowed(Array.from({ length: 25 }, () => one('198.51.101.1')))).toBe(20)
    expect(await countAllowed(Array.from({ length: 25 }, () => one('unknown')))).toBe(20)
    travel(60_000)
    expect(await countAllowed([one('198.51.100.1'), one('198.51.100.1')])).toBe(1)
    expect(await one('198.51.100.1')).toMatchObject({ allowed: false, policy: 'login_per_hour' })
  })

  test('IPv6 by /48', async () => {
    await sprayFrom('2001:db8:1::/48', 1_000_000)
    const spend = allowance(minute, hour, prefix)
    expect(await countAllowed([1, 2, 3, 4, 5, 6].map((net) => spend(`2001:db8:1:${net}::`)))).toBe(5)
    expect(await countAllowed([1, 2, 3, 4, 5, 6].map((net) => spend(`2001:db8:2:${net}::`)))).toBe(6)
  })

  test('the budget is whole as soon as the spray is over, though the window is not', async () => {
    const spend = allowance(minute, hour, prefix)
    expect(await countAllowed([spend('198.51.100.1'), spend('198.51.100.1'), spend('198.51.100.1')])).toBe(3)
    await sprayFrom('198.51.100.0/24', 30_000)
    expect(await spend('198.51.100.1')).toMatchObject({ allowed: false, remainingMs: 30_000 })
    travel(30_000)
    expect(await countAllowed(Array.from({ length: 25 }, () => spend('198.51.100.1')))).toBe(16)
  })
})

test('an instance that was restarted starts from what the others have counted', async () => {
  expect(await countAllowed(Array.from({ length: 20 }, () => allowance(policy())('a')))).toBe(20)
  expect((await allowance(policy())('a')).allowed).toBe(false)
})

test('a failed question fails those who wait for it, and only them', async () => {
  const spend = allowance(policy())
  await query(database.ownerUrl, 'ALTER TABLE rate_limits RENAME TO rate_limits_gone')
  const answers = await Promise.allSettled(Array.from({ length: 5 }, () => spend('a')))
  expect(answers.map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
  await query(database.ownerUrl, 'ALTER TABLE rate_limits_gone RENAME TO rate_limits')
  expect(await countAllowed(Array.from({ length: 30 }, () => spend('a')))).toBe(20)
})

test('units are counted atomically', async () => {
  const one = { policy: 'one', windowMs: 1000, units: 2, limit: 1000 }
  const two = { policy: 'two', windowMs: 9000, units: 1, limit: 1000 }
  const take = takingUnits([one, two])
  const taken = await atOnce(50, () => take(connection.db, { now, key: 'k' }))
  for (const { policy, units } of [one, two]) {
    const counts = taken.flatMap((windows) => windows.filter((window) => window.policy === policy))
    expect(counts.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, index) => units * (index + 1)),
    )
  }
})

test('windows that are long over are deleted in batches', async () => {
  const units = { policy: 'p', windowMs: 1000, units: 1, limit: 9 }
  const take = takingUnits([units])
  for (const key of ['a', 'b', 'c']) await take(connection.db, { now, key })
  const later = new Date(now.getTime() + 1)
  expect(await deleteStaleWindows(connection.db, now, 10)).toBe(0)
  expect(await deleteStaleWindows(connection.db, later, 2)).toBe(2)
  expect(await deleteStaleWindows(connection.db, later, 2)).toBe(1)
})

let handled = 0
const routes = (app: FastifyInstance): void => {
  const handler = async () => ({ handled: ++handled })
  for (const limit of ['login', 'register', 'refresh'] as const) {
    app.post(`/${limit}`, { config: { access: 'public', limit }, schema: { body: {} } }, handler)
  }
  app.get('/free', { config: { access: 'public', limit: { none: 'free' } } }, handler)
}
const limitedApp = (env: Record<string, string>, db = connection.db) =>
  createHttpApp(routes, { env, database: { db, clock } })
const post = async (t: HttpApp, url: string, remoteAddress = '203.0.113.1', extra = {}) =>
  t.app.inject({ method: 'POST', url, remoteAddress, ...extra })
const statuses = async (t: HttpApp, url: string, times: number, address?: string) => {
  const found: number[] = []
  for (let request = 0; request < times; request++) found.push((await post(t, url, address)).statusCode)
  return found
}

test('limits sign-ins per minute and per hour', async () => {
  await using t = await limitedApp({ RATE_LIMIT_LOGIN_PER_MINUTE: '2', RATE_LIMIT_LOGIN_PER_HOUR: '5' })
  handled = 0
  expect(await statuses(t, '/login', 4)).toEqual([200, 200, 429, 429])
  travel(20_500)
  const refused = await post(t, '/login')
  expect(refused.json()).toMatchObject({ code: 'too_many_requests', status: 429 })
  expect(refused.headers['retry-after']).toBe('40')
  travel(60_000)
  // What the first policy refused did not count for the second: three of five are left.
  expect(await statuses(t, '/login', 3)).toEqual([200, 200, 429])
  travel(60_000)
  expect(await statuses(t, '/login', 1)).toEqual([200])
  expect((await post(t, '/login')).headers['retry-after']).toBe(String(Math.ceil(3600 - 140.5)))
  expect(handled).toBe(5)
  const counted = await t.metrics.throttled.get()
  expect(Object.fromEntries(counted.values.map(({ labels, value }) => [labels.policy, value]))).toEqual({
    login_per_minute: 4,
    login_per_hour: 1,
  })
})

const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded'
const stated = ({ headers }: Awaited<ReturnType<typeof post>>) => [headers['ratelimit-policy'], headers.ratelimit]

test('a refusal states the limit of the address that it is for, and no other reply states any', async () => {
  await using t = await limitedApp({ RATE_LIMIT_LOGIN_PER_MINUTE: '2', RATE_LIMIT_LOGIN_PER_HOUR: '3' })
  for (let sent = 0; sent < 2; sent++) expect(stated(await post(t, '/login'))).toEqual([undefined, undefined])
  travel(22_300)
  const minute = await post(t, '/login')
  expect(stated(minute)).toEqual(['"login-ip";q=2;w=60', '"login-ip";r=0;t=38'])
  expect(minute.headers['retry-after']).toBe('38')
  expect(minute.json()).toEqual({
    type: QUOTA_EXCEEDED,
    title: 'Too many requests',
    status: 429,
    code: 'too_many_requests',
    instance: minute.headers['x-request-id'],
    'violated-policies': ['login-ip'],
  })
  travel(60_000)
  expect(stated(await post(t, '/login'))).toEqual([undefined, undefined])
  const hour = await post(t, '/login')
  expect(stated(hour)).toEqual(['"login-ip-hour";q=3;w=3600', '"login-ip-hour";r=0;t=3518'])
  expect(hour.headers['retry-after']).toBe('3518')
  expect(hour.json()).toMatchObject({ type: QUOTA_EXCEEDED, 'violated-policies': ['login-ip-hour'] })
})

test('limits registrations and refreshes on their own', async () => {
  const env = { RATE_LIMIT_REGISTER_PER_HOUR: '1', RATE_LIMIT_REFRESH_PER_MINUTE: '41' }
  await using t = await limitedApp(env)
  expect(await statuses(t, '/register', 2)).toEqual([200, 429])
  expect((await statuses(t, '/refresh', 43)).filter((status) => status === 200)).toHaveLength(41)
  expect((await t.app.inject({ url: '/free', remoteAddress: '203.0.113.1' })).statusCode).toBe(200)
  expect(await statuses(t, '/login', 1)).toEqual([200])
})

test('two instances share the limit', async () => {
  const env = { RATE_LIMIT_REFRESH_PER_MINUTE: '100' }
  await using one = await limitedApp(env)
  await using two = await limitedApp(env)
  const answers = await atOnce(300, (index) => post(index % 2 ? one : two, '/refresh'))
  expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(100)
  expect(answers.filter(({ statusCode }) => statusCode === 429)).toHaveLength(200)
})

test('counts IPv4 per address and IPv6 per /64', async () => {
  await using t = await limitedApp({ RATE_LIMIT_REGISTER_PER_HOUR: '1' })
  const status = async (address: string) => (await post(t, '/register', address)).statusCode
  expect(await status('203.0.113.1')).toBe(200)
  expect(await status('203.0.113.2')).toBe(200)
  expect(await status('::ffff:203.0.113.2')).toBe(429)
  expect(await status('2001:db8:1:1::1')).toBe(200)
  expect(await status('2001:db8:1:1:ffff:ffff:ffff:ffff')).toBe(429)
  expect(await status('2001:db8:1:2::1')).toBe(200)
})

test('no header of the client changes whose limit it is', async () => {
  await using t = await limitedApp({ RATE_LIMIT_REGISTER_PER_HOUR: '1' })
  const forged = (address: string) => ({
    headers: { 'x-forwarded-for': address, 'x-real-ip': address, forwarded: `for=${address}` },
  })
  expect((await post(t, '/register', '203.0.113.1', forged('1.1.1.1'))).statusCode).toBe(200)
  expect((await post(t, '/register', '203.0.113.1', forged('2.2.2.2'))).statusCode).toBe(429)
})

test('counts before the body is read, and not for preflights and wrong methods', async () => {
  await using t = await limitedApp({ RATE_LIMIT_REGISTER_PER_HOUR: '1' })
  const origin = 'https://app.example.com'
  for (const method of ['GET', 'PUT', 'OPTIONS'] as const) {
    await t.app.inject({ method, url: '/register', headers: { origin, 'access-control-request-method': 'POST' } })
  }
  expect(await rows()).toEqual([])
  const nonsense = { payload: '{', headers: { 'content-type': 'application/json' } }
  expect((await post(t, '/register', undefined, nonsense)).statusCode).toBe(400)
  expect((await post(t, '/register', undefined, nonsense)).statusCode).toBe(429)
})

test('without the database: 503, and nothing is let through', async () => {
  const broken = connect({ url: 'postgres://localhost:1/none', size: 1 })
  await using t = await limitedApp({}, broken.db)
  handled = 0
  for (const url of ['/login', '/register', '/refresh']) {
    const answer = await post(t, url)
    expect(answer.statusCode).toBe(503)
    expect(answer.json().code).toBe('unavailable')
    expect(answer.headers['retry-after']).toBe('1')
  }
  expect(handled).toBe(0)
  expect((await t.app.inject('/free')).statusCode).toBe(200)
  await broken.db.destroy()
})

test.each([[{ access: 'public' }], [{ access: 'user' }]] as const)(
  'a route with config %j does not boot',
  async (config) => {
    const database = { db: connection.db, clock }
    const boot = createHttpApp((app) => void app.get('/x', { config }, async () => ({})), { database })
    await expect(boot).rejects.toThrow('GET /x declares no limit')
  },
)
