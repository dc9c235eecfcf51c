import { describe, expect, test, vi } from 'vitest'
import { deleteStaleFailures } from '../../src/credentials/counter-queries.ts'
import type { ComputeTag } from '../../src/credentials/passwords/argon2.ts'
import { enableUser, findUser } from '../../src/users/accounts.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { computeOnce } from '../support/compute-once.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, liveFamilies, visible } from '../users/support.ts'

const email = 'ada@example.com'
const wrong = { email, password: 'not my password' }
const right = { email, password: TEST_PASSWORD }

async function failures(t: TestApp): Promise<number> {
  const rows = await t.db.selectFrom('login_failures').select('failures').execute()
  return rows.reduce((sum, row) => sum + row.failures, 0)
}

async function fail(t: TestApp, times: number, body: Record<string, unknown> = wrong) {
  for (let i = 0; i < times; i++) expect((await t.login(body)).statusCode).toBe(401)
}

test('the sixth attempt after five failures gets 429 for half a minute, right or wrong, without a hash', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  await fail(t, 5)
  const verify = vi.spyOn(t.deps.hasher, 'verify')
  for (const body of [wrong, right]) {
    const answer = await t.login(body)
    expect([answer.statusCode, answer.json().code]).toEqual([429, 'too_many_requests'])
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(29)
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(30)
  }
  expect(verify).not.toHaveBeenCalled()
  t.travel(31)
  expect((await t.login(right)).statusCode).toBe(200)
  expect(await failures(t)).toBe(0)
})

test('an account that does not exist is counted and refused in the same words', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  const seen: unknown[][] = []
  for (const who of [email, 'nobody@example.com', 'NOBODY@Example.com']) {
    const answers = []
    for (let i = 0; i < (who.startsWith('N') ? 0 : 5); i++)
      answers.push(visible(await t.login({ ...wrong, email: who })))
    const { headers, ...rest } = visible(await t.login({ ...wrong, email: who }))
    seen.push([...answers, { ...rest, headers: { ...headers, 'retry-after': Number(headers['retry-after']) > 27 } }])
  }
  expect(seen[1]).toEqual(seen[0])
  const refused = await t.login(wrong)
  expect(refused.json()).toMatchObject({ type: expect.stringMatching(/#quota-exceeded$/), 'violated-policies': [] })
  expect(Object.keys(refused.headers).filter((name) => name.startsWith('ratelimit'))).toEqual([])
  // Another spelling of an address is the same counter.
  expect(seen[2]).toEqual(seen[1]?.slice(5))
  expect((await auditOf(t, 'login.backoff_started')).map((event) => event.details)).toMatchObject([
    { failures: 5 },
    { failures: 5 },
  ])
})

test('each further failure doubles the wait, up to an hour', async () => {
  await using t = await createTestApp()
  await fail(t, 5)
  const waits = []
  for (let i = 0; i < 10; i++) {
    const wait = Number((await t.login(wrong)).headers['retry-after'])
    waits.push(wait)
    t.travel(wait + 1)
    await fail(t, 1)
  }
  const expected = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
  for (const [i, wait] of waits.entries()) expect(Math.abs(wait - (expected[i] ?? 0))).toBeLessThanOrEqual(1)
})

test.each([
  ['with the right password', right],
  ['of an account that does not exist', { ...wrong, email: 'nobody@example.com' }],
])('of eight at once %s, those that are put off for the others may come back in a second', async (_whose, body) => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  const verify = t.deps.hasher.verify.bind(t.deps.hasher)
  const gate = Promise.withResolvers<void>()
  vi.spyOn(t.deps.hasher, 'verify').mockImplementation(async (...args) => {
    await gate.promise
    return await verify(...args)
  })
  const waits: unknown[] = []
  const answers = Array.from({ length: 8 }, async () => {
    const { statusCode, headers } = await t.login(body)
    if (statusCode === 429 && waits.push(headers['retry-after']) === 3) gate.resolve()
    return statusCode
  })
  const statuses = await Promise.all(answers)
  expect(statuses.filter((status) => status !== 429)).toEqual(Array(5).fill(body === right ? 200 : 401))
  expect(waits).toEqual(['1', '1', '1'])
  // Once they are decided, the wait is that of the failures, if they were failures.
  const next = await t.login(body)
  if (body === right) expect(next.statusCode).toBe(200)
  else expect(Number(next.headers['retry-after'])).toBeGreaterThan(25)
})

test('of fifty wrong passwords at once at most five reach the hash', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  const verify = vi.spyOn(t.deps.hasher, 'verify')
  const answers = await atOnce(50, () => t.login(wrong))
  expect(verify).toHaveBeenCalledTimes(5)
  const statuses = answers.map((answer) => answer.statusCode)
  expect(statuses.filter((status) => status === 401)).toHaveLength(5)
  expect(statuses.filter((status) => status === 429)).toHaveLength(45)
})

test('a success forgets the failures of its own account and of no other', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  await t.register('eve@example.com', TEST_PASSWORD)
  await fail(t, 4)
  expect((await t.login({ email: 'eve@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)
  expect(await failures(t)).toBe(4)
  expect((await t.login(right)).statusCode).toBe(200)
  await fail(t, 5)
  expect((await t.login(right)).statusCode).toBe(429)
})

test('sessions go on while sign-in is refused', async () => {
  await using t = await createTestApp()
  const { refreshToken, userId } = await t.signUp(email)
  await fail(t, 5)
  expect((await t.login(right)).statusCode).toBe(429)
  expect((await t.refresh(refreshToken)).statusCode).toBe(200)
  expect(await liveFamilies(t, userId)).toHaveLength(1)
})

describe('nobody pays for our being too busy', () => {
  test('a full queue answers 503 and does not count', async () => {
    let until = Promise.resolve()
    const computeTag: ComputeTag = async (...hash) => {
      await until
      return computeOnce(...hash)
    }
    await using t = await createTestApp({ env: { HASH_QUEUE: '0' }, computeTag })
    await t.register(email, TEST_PASSWORD)
    const { promise, resolve } = Promise.withResolvers<void>()
    until = promise
    const asked = Array.from({ length: 5 }, () => t.login(wrong))
    // Nobody else is answered while hashes take so long.
    await Promise.race(asked)
    resolve()
    const answers = await Promise.all(asked)
    const statuses = answers.map((answer) => answer.statusCode)
    const busy = answers.find((answer) => answer.statusCode === 503)
    expect(busy?.json()).toMatchObject({ code: 'overloaded' })
    expect(busy?.headers['retry-after']).toBe('1')
    const judged = statuses.filter((status) => status === 401).length
    expect(statuses).toHaveLength(judged + statuses.filter((status) => status === 503).length)
    expect(await failures(t)).toBe(judged)
    expect((await t.login(right)).statusCode).toBe(200)
  })

  test('the block that a released attempt started is lifted', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await fail(t, 4)
    vi.spyOn(t.deps.hasher, 'verify').mockRejectedValueOnce(Object.assign(new Error('gone'), { code: '57P01' }))
    expect((await t.login(right)).statusCode).toBe(503)
    expect(await failures(t)).toBe(4)
    expect((await t.login(right)).statusCode).toBe(200)
  })

  test('a right password whose session cannot be written does not count', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await fail(t, 3)
    await t.db.schema.alterTable('families').renameTo('away').execute()
    expect((await t.login(right)).statusCode).toBe(503)
    // Nothing of the sign-in stands: neither that it succeeded nor that earlier failures are forgotten.
    expect(await failures(t)).toBe(3)
    expect((await auditOf(t, 'login')).filter(({ outcome }) => outcome === 'success')).toEqual([])
  })

  test('nor one whose audit event cannot be written; and there is no session', async () => {
    await using t = await createTestApp()
    const userId = (await t.register(email, TEST_PASSWORD)).json().user.id
    await t.db.schema.alterTable('audit').renameTo('away').execute()
    expect((await t.login(right)).statusCode).toBe(503)
    expect(await failures(t)).toBe(0)
    expect(await liveFamilies(t, userId)).toEqual([])
  })
})

describe('a hundred failures in a row', () => {
  async function at(t: TestApp, count: number) {
    await t.login(wrong)
    await t.db
      .updateTable('login_failures')
      .set({ failures: count, blocked_until: new Date(0) })
      .execute()
  }

  test('disable the password until an operator resets it', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await at(t, 99)
    await fail(t, 1)
    expect(await auditOf(t, 'login.password_disabled')).toMatchObject([{ details: { failures: 100 } }])
    t.travel(3601)
    const verify = vi.spyOn(t.deps.hasher, 'verify')
    const answer = await t.login(right)
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_credentials'])
    expect(verify).toHaveBeenCalledTimes(1)
    expect(await findUser(t.db, email)).toMatchObject({ passwordDisabled: true, disabledAt: null })

    await enableUser(t.deps, byOperator(t.deps), email)
    expect(await auditOf(t, 'user.enabled')).toMatchObject([{ actor: 'operator:ada' }])
    expect(await findUser(t.db, email)).toMatchObject({ passwordDisabled: false })
    expect((await t.login(right)).statusCode).toBe(200)
  })

  test('the hundredth attempt may still be the right one', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await at(t, 99)
    expect((await t.login(right)).statusCode).toBe(200)
    expect(await failures(t)).toBe(0)
  })

  test('are not forgotten by pruning; fewer are, whether or not the account exists', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await at(t, 100)
    await t.register('eve@example.com', TEST_PASSWORD)
    await t.login({ ...wrong, email: 'eve@example.com' })
    await t.login({ ...wrong, email: 'nobody@example.com' })
    expect(await deleteStaleFailures(t.db, new Date(t.deps.clock().getTime() - 60_000), 10)).toBe(0)
    expect(await deleteStaleFailures(t.db, new Date(t.deps.clock().getTime() + 60_000), 10)).toBe(2)
    expect(await failures(t)).toBe(100)
  })
})
