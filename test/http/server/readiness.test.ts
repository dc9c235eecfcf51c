import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { isUnprepared } from '../../../src/db/errors.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'

// Ready is a server with which a sign-in could work, not one whose database says what time it is.

const ready = async (t: TestApp): Promise<number> => (await t.inject({ url: '/readyz' })).statusCode

/** Does what an administrator or an accident does to the database, and undoes it. */
interface Trouble {
  what: string
  reason: 'schema' | 'database'
  trouble: string
  cure: string
  /** It is of the server's sessions, so both must have it: the connection for refreshes and the other one. */
  ofSession?: true
}
const TROUBLES: Trouble[] = [
  {
    what: 'a schema that is not there any more',
    reason: 'schema',
    trouble: 'ALTER SCHEMA public RENAME TO gone',
    cure: 'ALTER SCHEMA gone RENAME TO public',
  },
  {
    what: 'a table that is missing',
    reason: 'schema',
    trouble: 'ALTER TABLE families RENAME TO gone',
    cure: 'ALTER TABLE gone RENAME TO families',
  },
  {
    what: 'a column that is missing, as in an older backup',
    reason: 'schema',
    trouble: 'ALTER TABLE families RENAME COLUMN generation TO gone',
    cure: 'ALTER TABLE families RENAME COLUMN gone TO generation',
  },
  {
    what: 'a role that may not write',
    reason: 'schema',
    trouble: 'REVOKE INSERT, UPDATE ON families FROM $role',
    cure: 'GRANT INSERT, UPDATE ON families TO $role',
  },
  {
    what: 'sessions that are read-only',
    reason: 'database',
    trouble: 'SET default_transaction_read_only = on',
    cure: 'SET default_transaction_read_only = off',
    ofSession: true,
  },
]

test.each(TROUBLES)('$what: not ready, 503 and never 401 or 500, and ready again afterwards', async (trouble) => {
  // One connection for everything but refreshes, one for these.
  await using t = await createTestApp({ env: { DATABASE_POOL_SIZE: '2' } })
  const { email, password, refreshToken } = await t.signUp()
  expect(await ready(t)).toBe(200)
  t.logs.length = 0
  const all = trouble.ofSession ? [t.deps.db, t.deps.refreshDb, t.deps.rotationDb] : [t.db]
  const role = new URL(t.databaseUrl).username
  const everywhere = async (statement: string) => {
    for (const db of all) await sql.raw(statement.replace('$role', role)).execute(db)
  }
  // Also of those that are opened when one is given up because it has become read-only.
  const place = `ALTER ROLE ${role} IN DATABASE ${new URL(t.databaseUrl).pathname.slice(1)}`
  if (trouble.ofSession) await sql.raw(`${place} SET default_transaction_read_only = on`).execute(t.db)
  await everywhere(trouble.trouble)

  expect(await ready(t)).toBe(503)
  const answers = [await t.login({ email, password }), await t.refresh(refreshToken), await t.refresh(refreshToken)]
  for (const answer of answers) {
    expect([answer.statusCode, answer.headers['retry-after'], answer.json().code]).toEqual([503, '1', 'unavailable'])
    expect(answer.body).not.toMatch(/relation|permission|column|read-only/)
  }
  const logged = t.logs.filter(({ msg }) => msg?.startsWith('refused: '))
  expect(logged.map(({ level }) => level)).toEqual(Array(3).fill(trouble.reason === 'schema' ? 'error' : 'warn'))
  expect(t.logs.filter(({ msg }) => msg === 'request').map((line) => line.reason)).toContain(trouble.reason)

  if (trouble.ofSession) await sql.raw(`${place} RESET default_transaction_read_only`).execute(t.db)
  await everywhere(trouble.cure)
  await expect.poll(() => ready(t), { timeout: 5000 }).toBe(200)
  expect((await t.refresh(refreshToken)).statusCode).toBe(200)
  expect((await t.login({ email, password })).statusCode).toBe(200)
})

test('however often it is asked, the database is asked once a second', async () => {
  await using t = await createTestApp()
  const statements = async (): Promise<number> => {
    const { rows } = await sql<{ count: string }>`
      SELECT xact_commit + xact_rollback AS count FROM pg_stat_database WHERE datname = current_database()`.execute(
      t.db,
    )
    return Number(rows[0]?.count)
  }
  await ready(t)
  await sleep(1100)
  const before = await statements()
  const until = performance.now() + 3000
  let asked = 0
  for (; performance.now() < until; asked += 10) {
    const answers = await atOnce(10, () => ready(t))
    expect(new Set(answers)).toEqual(new Set([200]))
  }
  expect(asked).toBeGreaterThan(100)
  await sleep(1100)
  // Those of other tasks included; without a bound it would be hundreds.
  expect((await statements()) - before).toBeLessThan(50)
})

test.each([
  ['42P01', true],
  ['42703', true],
  ['42883', true],
  ['3F000', true],
  ['42501', true],
  ['42601', false],
  ['23505', false],
  ['57P01', false],
])('%s: the database is not as the server left it: %s', (code, expected) => {
  expect(isUnprepared(Object.assign(new Error('as PostgreSQL says it'), { code }))).toBe(expected)
})
