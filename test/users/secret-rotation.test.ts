import { randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { listUsers } from '../../src/users/accounts.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'

// What holds off guesses must not start anew because the secret is rotated, as it is every now and then.

const email = 'ada@example.com'
const wrong = { email, password: 'not my password' }
const right = { email, password: TEST_PASSWORD }
const statusesOf = (answers: { statusCode: number }[]) => answers.map(({ statusCode }) => statusCode)

/** Another replica, whose list has a newer secret before the one that the first has. */
function rotated(t: TestApp): Promise<TestApp> {
  return createTestApp({
    join: t,
    env: { CLAVIGER_SECRET: `${randomBytes(32).toString('base64')},${t.env.CLAVIGER_SECRET}` },
  })
}

async function setFailures(t: TestApp, failures: number): Promise<void> {
  await t.db
    .updateTable('login_failures')
    .set({ failures, blocked_until: new Date(0) })
    .execute()
}

test('a password that too many failures have disabled stays so', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  expect((await t.login(wrong)).statusCode).toBe(401)
  await setFailures(t, 121)
  await using after = await rotated(t)
  expect((await after.login(right)).statusCode).toBe(401)
  expect(await listUsers(t.db, { limit: 1 })).toMatchObject([{ passwordDisabled: true }])
})

test('also when the old secret has gone from the list', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  expect((await t.login(wrong)).statusCode).toBe(401)
  await setFailures(t, 121)
  // Its signing keys are sealed with the first secret; counters are all that this is about.
  await using after = await rotated(t)
  Object.assign(after.deps, { serverKeys: after.deps.serverKeys.slice(0, 1) })
  expect((await after.login(right)).statusCode).toBe(401)
})

describe.each([
  ['an account', email],
  ['an address without one', 'nobody@example.com'],
])('of %s', (_what, who) => {
  const attempt = { ...wrong, email: who }

  test('the back-off goes on, and its wait is told', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    for (let i = 0; i < 5; i++) expect((await t.login(attempt)).statusCode).toBe(401)
    await using after = await rotated(t)
    const answer = await after.login(attempt)
    expect(answer.statusCode).toBe(429)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(25)
  })

  test('of fifty attempts at once, over replicas before and after it, five reach the hash', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await using after = await rotated(t)
    const verify = [vi.spyOn(t.deps.hasher, 'verify'), vi.spyOn(after.deps.hasher, 'verify')]
    const answers = await Promise.all(Array.from({ length: 50 }, (_each, i) => (i % 2 ? t : after).login(attempt)))
    expect(verify.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBe(5)
    expect(statusesOf(answers).filter((status) => status === 401)).toHaveLength(5)
    expect(statusesOf(answers).filter((status) => status === 429)).toHaveLength(45)
  })
})

test('a success after it forgets the failures of before', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  for (let i = 0; i < 4; i++) await t.login(wrong)
  await using after = await rotated(t)
  expect((await after.login(right)).statusCode).toBe(200)
  expect(await t.db.selectFrom('login_failures').selectAll().execute()).toEqual([])
})

test('an attempt that is not decided is taken back from the counter that it was put on', async () => {
  await using t = await createTestApp()
  await t.register(email, TEST_PASSWORD)
  await t.login(wrong)
  await using after = await rotated(t)
  vi.spyOn(after.deps.hasher, 'verify').mockRejectedValueOnce(new Error('stopped'))
  expect((await after.login(wrong)).statusCode).toBe(500)
  expect(await t.db.selectFrom('login_failures').select('failures').execute()).toEqual([{ failures: 1 }])
})

test('whoever tried an address before it had an account has not locked its owner out', async () => {
  await using t = await createTestApp()
  for (let i = 0; i < 5; i++) expect((await t.login(wrong)).statusCode).toBe(401)
  expect((await t.login(wrong)).statusCode).toBe(429)
  await t.register(email, TEST_PASSWORD)
  expect((await t.login(right)).statusCode).toBe(200)
})
