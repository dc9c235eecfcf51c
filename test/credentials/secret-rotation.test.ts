import { createHash } from 'node:crypto'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { createUser, enableUser, findUser } from '../../src/users/accounts.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { byOperator } from '../support/operation.ts'
import { visible } from '../users/support.ts'

const secret = (name: string): string => createHash('sha256').update(`rotation ${name}`).digest('base64')
const [OLD, NEW] = [secret('old'), secret('new')]

const wrong = (email: string) => ({ email, password: 'not my password' })
const right = (email: string) => ({ email, password: TEST_PASSWORD })

/** The next attempt is looked at, whatever the counter says. */
async function letGo(t: TestApp, failures?: number): Promise<void> {
  await t.db
    .updateTable('login_failures')
    .set({ blocked_until: new Date(0), in_flight: 0, ...(failures === undefined ? {} : { failures }) })
    .execute()
}

async function fail(t: TestApp, email: string, times: number): Promise<void> {
  for (let time = 0; time < times; time++) expect((await t.login(wrong(email))).statusCode).toBe(401)
}

describe.each(['known@example.com', 'nobody@example.com'])(
  'across a planned change of CLAVIGER_SECRET, %s',
  (email) => {
    async function start() {
      const t = await createTestApp({ env: { CLAVIGER_SECRET: OLD } })
      if (email.startsWith('known')) await t.register(email, TEST_PASSWORD)
      return t
    }

    test.each([`${OLD},${NEW}`, `${NEW},${OLD}`])('the back-off goes on (list %#)', async (list) => {
      await using t = await start()
      await fail(t, email, 5)
      await using next = await createTestApp({ join: t, env: { CLAVIGER_SECRET: list } })
      const before = visible(await t.login(right(email)))
      expect(visible(await next.login(right(email)))).toEqual(before)
      expect(before.status).toBe(429)
      next.travel(31)
      await fail(next, email, 1)
      // The sixth of one row, not the first of another.
      expect(Number((await next.login(wrong(email))).headers['retry-after'])).toBeGreaterThan(50)
    })

    test('replicas that learn of the new entry first, or last, keep one counter', async () => {
      await using t = await start()
      await using ahead = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${OLD},${NEW}` } })
      await fail(ahead, email, 3)
      await fail(t, email, 2)
      for (const each of [t, ahead]) expect((await each.login(right(email))).statusCode).toBe(429)
    })

    test('an attempt that is not decided is taken back wherever it was counted', async () => {
      await using t = await start()
      await fail(t, email, 1)
      await using next = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${NEW},${OLD}` } })
      vi.spyOn(next.deps.hasher, 'verify').mockRejectedValueOnce(new Error('stopped'))
      expect((await next.login(wrong(email))).statusCode).toBe(500)
      const rows = await t.db.selectFrom('login_failures').select(['failures', 'in_flight']).execute()
      expect(rows).toEqual([
        { failures: 1, in_flight: 0 },
        { failures: 1, in_flight: 0 },
      ])
    })

    test('it goes on when the old entry is dropped, if anybody has tried meanwhile', async () => {
      await using t = await start()
      await fail(t, email, 4)
      await using both = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${NEW},${OLD}` } })
      await fail(both, email, 1)
      await using after = await createTestApp({ join: both, env: { CLAVIGER_SECRET: NEW } })
      expect((await after.login(wrong(email))).statusCode).toBe(429)
    })

    test('of fifty wrong passwords at once, over replicas with different lists, at most five reach the hash', async () => {
      await using t = await start()
      await using ahead = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${OLD},${NEW}` } })
      await using behind = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${NEW},${OLD}` } })
      const replicas = [t, ahead, behind]
      const computed = replicas.map((each) => vi.spyOn(each.deps.hasher, 'verify'))
      const answers = await atOnce(51, (index) => (replicas[index % 3] as TestApp).login(wrong(email)))
      const looked = computed.reduce((sum, { mock }) => sum + mock.calls.length, 0)
      expect(looked).toBeLessThanOrEqual(5)
      expect(looked).toBeGreaterThan(0)
      const statuses = answers.map(({ statusCode }) => statusCode)
      // 503: on a busy machine some wait too long, for the database or for their hash.
      const count = (code: number) => statuses.filter((status) => status === code).length
      const late = count(503)
      expect(count(401) + count(429) + late).toBe(51)
      expect(count(401)).toBeLessThanOrEqual(looked)
      expect(count(401)).toBeGreaterThanOrEqual(looked - late)
      expect(count(429)).toBeLessThanOrEqual(51 - looked)
    })
  },
)

test('a success forgets the failures of before, wherever they were counted', async () => {
  const email = 'ada@example.com'
  await using t = await createTestApp({ env: { CLAVIGER_SECRET: OLD } })
  await t.register(email, TEST_PASSWORD)
  await fail(t, email, 3)
  await using next = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${NEW},${OLD}` } })
  await fail(next, email, 1)
  expect((await next.login(right(email))).statusCode).toBe(200)
  expect(await t.db.selectFrom('login_failures').selectAll().execute()).toEqual([])
})

describe('the hard stop', () => {
  test('holds under the new list, under the new entry alone, and as `users list` says', async () => {
    const email = 'ada@example.com'
    await using t = await createTestApp({ env: { CLAVIGER_SECRET: OLD } })
    await t.register(email, TEST_PASSWORD)
    await fail(t, email, 1)
    await letGo(t, 99)
    await fail(t, email, 1)
    for (const list of [OLD, `${OLD},${NEW}`, `${NEW},${OLD}`]) {
      await letGo(t)
      await using next = await createTestApp({ join: t, env: { CLAVIGER_SECRET: list } })
      const answer = await next.login(right(email))
      expect([answer.statusCode, answer.json().code], list).toEqual([401, 'invalid_credentials'])
      expect(await findUser(next.db, email)).toMatchObject({ passwordDisabled: true })
    }
    await using last = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${NEW},${OLD}` } })
    // As if nobody had tried while both were listed: the counter is out of reach.
    await last.db.deleteFrom('login_failures').execute()
    last.deps.serverKeys = [last.deps.serverKeys[0]]
    expect((await last.login(right(email))).statusCode).toBe(401)
    expect(await findUser(last.db, email)).toMatchObject({ passwordDisabled: true })
    await enableUser(last.deps, byOperator(last.deps), email)
    expect(await findUser(last.db, email)).toMatchObject({ passwordDisabled: false })
    expect((await last.login(right(email))).statusCode).toBe(200)
  })

  test('holds for an account whose hundredth failure was counted and not decided', async () => {
    const email = 'ada@example.com'
    await using t = await createTestApp({ env: { CLAVIGER_SECRET: OLD } })
    await t.register(email, TEST_PASSWORD)
    await fail(t, email, 1)
    await letGo(t, 120)
    await using next = await createTestApp({ join: t, env: { CLAVIGER_SECRET: `${NEW},${OLD}` } })
    expect((await next.login(right(email))).statusCode).toBe(401)
    expect(await findUser(next.db, email)).toMatchObject({ passwordDisabled: true })
  })
})

describe('an account that is made', () => {
  const t = createTestApp()
  afterAll(async () => (await t)[Symbol.asyncDispose]())

  test.each([
    ['by registration', async (app: TestApp, email: string) => await app.register(email, TEST_PASSWORD)],
    [
      'by an operator',
      async (app: TestApp, email: string) =>
        await createUser(app.deps, byOperator(app.deps), { email, password: TEST_PASSWORD, roles: [] }),
    ],
  ])('%s starts without the failures that were counted before it was', async (how, make) => {
    const app = await t
    const email = `${how.replaceAll(' ', '-')}@example.com`
    await fail(app, email, 5)
    await app.db.updateTable('login_failures').set({ failures: 120 }).execute()
    expect((await app.login(right(email))).statusCode).toBe(429)
    await make(app, email)
    expect((await app.login(right(email))).statusCode).toBe(200)
    expect(await findUser(app.db, email)).toMatchObject({ passwordDisabled: false })
  })

  test('cannot be made again to forget the failures of the one that is there', async () => {
    const app = await t
    const email = 'taken@example.com'
    await app.register(email, TEST_PASSWORD)
    await fail(app, email, 5)
    expect((await app.register(email, 'another phrase entirely')).statusCode).toBe(409)
    expect((await app.login(right(email))).statusCode).toBe(429)
  })
})
