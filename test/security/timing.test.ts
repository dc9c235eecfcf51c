import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { createPasswordHasher } from '../../src/credentials/passwords/hasher.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { areasOf, areaUnderCurve, computeLightly } from './areas.ts'

const classes = ['known', 'unknown', 'disabled', 'passwordless', 'locked for good'] as const
type Class = (typeof classes)[number]

test('the measure itself can tell two classes apart', () => {
  const fast = Array.from({ length: 100 }, (_each, index) => 20 + (index % 10))
  expect(areaUnderCurve(fast, fast)).toBeCloseTo(0.5, 1)
  expect(
    areaUnderCurve(
      fast,
      fast.map((value) => value + 4),
    ),
  ).toBeGreaterThan(0.7)
})

async function prepare(t: TestApp): Promise<Record<Class, string>> {
  const emails = {} as Record<Class, string>
  for (const each of classes) {
    emails[each] = `${each.replaceAll(' ', '-')}@example.com`
    if (each !== 'unknown') expect((await t.register(emails[each], TEST_PASSWORD)).statusCode).toBe(201)
  }
  await t.db.updateTable('users').set({ disabled_at: t.deps.clock() }).where('email', '=', emails.disabled).execute()
  await t.db.updateTable('users').set({ password_hash: null }).where('email', '=', emails.passwordless).execute()
  return emails
}

/** Sets the counters so that no sample is put off: it is the answer after the work that must not differ. */
async function resetCounters(t: TestApp): Promise<void> {
  await sql`UPDATE login_failures SET blocked_until = '2000-01-01', failures = CASE WHEN failures >= 100 THEN 150 ELSE 0 END`.execute(
    t.db,
  )
}

test('known, unknown, disabled, passwordless and locked accounts answer alike and in the same time', async () => {
  await using t = await createTestApp({ env: { LOG_LEVEL: 'info' }, computeTag: computeLightly })
  const emails = await prepare(t)
  const attempt = (email: string, password: string) => t.login({ email, password })
  for (const each of classes) await attempt(emails[each], 'not the right phrase')
  const locked = await t.db.selectFrom('users').select('id').where('email', '=', emails['locked for good']).execute()
  for (const { id } of locked) await sql`UPDATE login_failures SET failures = 150 WHERE user_id = ${id}`.execute(t.db)

  const bodies = new Set<string>()
  const areas = await areasOf(classes, 'known', async (each) => {
    await resetCounters(t)
    const started = performance.now()
    // The right password where there is an account that may not use it.
    const answer = await attempt(
      emails[each],
      each === 'known' || each === 'unknown' ? 'not the right phrase' : TEST_PASSWORD,
    )
    const took = performance.now() - started
    const { instance: _instance, ...body } = answer.json<Record<string, unknown>>()
    const { 'x-request-id': _id, date: _date, 'content-length': _length, ...headers } = answer.headers
    bodies.add(JSON.stringify([answer.statusCode, body, headers]))
    return took
  })
  expect([...bodies]).toHaveLength(1)
  expect(JSON.parse([...bodies][0] as string)[0]).toBe(401)
  for (const each of classes) expect(Math.abs(areas[each] - 0.5), each).toBeLessThan(0.1)
}, 300_000)

const kinds = ['present', 'older', 'stronger', 'unknown', 'older and disabled'] as const

test('whatever parameters a stored hash has, a refusal takes the same time', async () => {
  await using t = await createTestApp({ env: { LOG_LEVEL: 'info' }, computeTag: computeLightly })
  const costs = { older: [8192, 2], 'older and disabled': [8192, 2], stronger: [32768, 2] } as const
  for (const kind of kinds) {
    if (kind !== 'unknown') await t.register(emailOf(kind), TEST_PASSWORD)
  }
  for (const [kind, [memoryKib, passes]] of Object.entries(costs)) {
    const hasher = createPasswordHasher({ memoryKib, passes, concurrency: 1, queue: 1, computeTag: computeLightly })
    const hash = await hasher.hash(TEST_PASSWORD)
    await t.db
      .updateTable('users')
      .set({ password_hash: hash, disabled_at: kind.endsWith('disabled') ? t.deps.clock() : null })
      .where('email', '=', emailOf(kind))
      .execute()
  }

  const areas = await areasOf(kinds, 'unknown', async (kind) => {
    await resetCounters(t)
    const password = kind.endsWith('disabled') ? TEST_PASSWORD : 'not the right phrase'
    const started = performance.now()
    const answer = await t.login({ email: emailOf(kind), password })
    const took = performance.now() - started
    expect(answer.statusCode).toBe(401)
    return took
  })
  for (const kind of kinds) expect(Math.abs(areas[kind] - 0.5), kind).toBeLessThan(0.1)
}, 300_000)

function emailOf(kind: string): string {
  return `${kind.replaceAll(' ', '-')}@example.com`
}
