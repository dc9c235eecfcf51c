import { describe, expect, test, vi } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'

const wrong = (email: string) => ({ email, password: 'not my password' })
const right = (email: string) => ({ email, password: TEST_PASSWORD })

async function fail(t: TestApp, email: string, times: number): Promise<void> {
  for (let time = 0; time < times; time++) expect((await t.login(wrong(email))).statusCode).toBe(401)
}

describe('whoever is turned away only because attempts are in flight', () => {
  test.each(['known@example.com', 'nobody@example.com'])('may come again in a second (%s)', async (email) => {
    await using t = await createTestApp()
    await using other = await createTestApp({ join: t })
    if (email.startsWith('known')) await t.register(email, TEST_PASSWORD)
    const held = Promise.withResolvers<void>()
    for (const app of [t, other]) {
      const { verify } = app.deps.hasher
      vi.spyOn(app.deps.hasher, 'verify').mockImplementation(async (...args) => {
        await held.promise
        return await verify(...args)
      })
    }
    const waiting = Array.from({ length: 5 }, (_each, index) => (index % 2 ? t : other).login(right(email)))
    await vi.waitFor(async () =>
      expect(await t.db.selectFrom('login_failures').select('in_flight').execute()).toEqual([{ in_flight: 5 }]),
    )
    const turnedAway = await Promise.all([t.login(right(email)), other.login(right(email)), t.login(wrong(email))])
    for (const { statusCode, headers } of turnedAway) expect([statusCode, headers['retry-after']]).toEqual([429, '1'])
    held.resolve()
    const statuses = (await Promise.all(waiting)).map(({ statusCode }) => statusCode)
    if (email.startsWith('known')) {
      expect(statuses).toEqual(Array(5).fill(200))
      expect((await t.login(right(email))).statusCode).toBe(200)
    } else {
      // All have failed: now it is the back-off.
      expect(statuses).toEqual(Array(5).fill(401))
      expect(Number((await t.login(right(email))).headers['retry-after'])).toBeGreaterThan(25)
    }
  })

  test('an attempt that was cut off with its server is not in flight for ever', async () => {
    await using t = await createTestApp()
    await fail(t, 'nobody@example.com', 5)
    await t.db
      .updateTable('login_failures')
      .set({ in_flight: 1, blocked_until: new Date(Date.now() + 3_600_000) })
      .execute()
    expect((await t.login(wrong('nobody@example.com'))).headers['retry-after']).toBe('1')
    t.travel(31)
    expect(Number((await t.login(wrong('nobody@example.com'))).headers['retry-after'])).toBeGreaterThan(1000)
    t.travel(3600)
    // Nor does the next one bring it back.
    await fail(t, 'nobody@example.com', 1)
    expect(Number((await t.login(wrong('nobody@example.com'))).headers['retry-after'])).toBeGreaterThan(50)
  })

  test('five that have failed are the back-off at once', async () => {
    await using t = await createTestApp()
    await fail(t, 'nobody@example.com', 5)
    expect(Number((await t.login(wrong('nobody@example.com'))).headers['retry-after'])).toBeGreaterThan(25)
  })
})
