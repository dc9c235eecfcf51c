import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { computeHere } from '../../src/credentials/passwords/argon2.ts'
import { connect } from '../../src/db/connect.ts'
import { isUnavailable, transact } from '../../src/db/errors.ts'
import { lockAccount } from '../../src/users/lookup.ts'
import { holdRow } from '../sessions/holds.ts'
import { createTestApp } from '../support/app.ts'

const serialisation = Object.assign(new Error('could not serialize access'), { code: '40001' })

test('a transaction that the database aborts is tried again three times, then answered 503', async () => {
  await using t = await createTestApp()
  let attempts = 0
  const afterTwo = await transact(t.db, async () => {
    if (++attempts < 3) throw serialisation
    return 'done'
  })
  expect([afterTwo, attempts]).toEqual(['done', 3])

  attempts = 0
  const never = transact(t.db, () => {
    attempts++
    return Promise.reject(serialisation)
  })
  await expect(never).rejects.toMatchObject({ status: 503, retryAfter: 1 })
  expect(attempts).toBe(4)
})

describe('a statement fails and the transaction goes on all the same', () => {
  const missing = sql`SELECT FROM a_table_that_is_not_there`

  test('the error is the first one: those after it only say that there was one', async () => {
    await using t = await createTestApp()
    const again = transact(t.db, async (tx) => {
      await missing.execute(tx).catch(() => {})
      for (let i = 0; i < 3; i++) await sql`SELECT 1`.execute(tx).catch(() => {})
      await sql`SELECT 1`.execute(tx)
    })
    await expect(again).rejects.toMatchObject({ code: '42P01' })
    expect((await sql<{ one: number }>`SELECT 1 AS one`.execute(t.db)).rows).toEqual([{ one: 1 }])
  })

  test('that nothing was committed is an error even where nobody asked', async () => {
    await using t = await createTestApp()
    const committed = transact(t.db, async (tx) => {
      await sql`UPDATE users SET roles = '{}'`.execute(tx)
      await missing.execute(tx).catch(() => {})
      return 'done'
    })
    await expect(committed).rejects.toMatchObject({ code: '42P01' })
    expect(await transact(t.db, async (tx) => (await sql`SELECT 1`.execute(tx)).rows.length)).toBe(1)
  })
})

test('two transactions that lock each other out both end well', async () => {
  await using t = await createTestApp()
  const [a, b] = [await t.signUp(), await t.signUp()]
  const both = Promise.withResolvers<void>()
  let first = 0
  const lock = ([one, other]: [string, string]) =>
    transact(t.db, async (tx) => {
      await lockAccount(tx, one)
      if (++first === 2) both.resolve()
      if (first <= 2) await both.promise
      await lockAccount(tx, other)
      return 'done'
    })
  expect(await Promise.all([lock([a.userId, b.userId]), lock([b.userId, a.userId])])).toEqual(['done', 'done'])
})

test('every wait is bounded: statements 5 s, locks 2 s, idle transactions 10 s, connections 2 s', async () => {
  await using t = await createTestApp()
  const { db, pool } = connect({ url: t.databaseUrl, size: 1 })
  try {
    const { rows } = await sql<{ name: string; setting: string }>`
      SELECT name, setting FROM pg_settings
      WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name`.execute(
      db,
    )
    expect(rows.map(({ name, setting }) => [name, Number(setting)])).toEqual([
      ['idle_in_transaction_session_timeout', 10_000],
      ['lock_timeout', 2000],
      ['statement_timeout', 5000],
    ])
    // The one connection is busy: the next caller is told within two seconds, and told that it may come again.
    const busy = sql`SELECT pg_sleep(4)`.execute(db)
    const started = performance.now()
    const error = await sql`SELECT 1`.execute(db).catch((caught: unknown) => caught)
    expect(performance.now() - started).toBeLessThan(3500)
    expect(isUnavailable(error)).toBe(true)
    await busy
    expect(pool.totalCount).toBe(1)
  } finally {
    await db.destroy()
  }
})

test('a family whose row somebody holds is answered 503 with Retry-After, and the token stays good', async () => {
  await using t = await createTestApp()
  const { refreshToken } = await t.signUp()
  const { id } = await t.db.selectFrom('families').select('id').executeTakeFirstOrThrow()
  const held = await holdRow(t.db, id)
  const answer = await t.refresh(refreshToken)
  expect(answer.statusCode).toBe(503)
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  await held.release()
  expect((await t.refresh(refreshToken)).statusCode).toBe(200)
})

test('credentials of the database that no longer work are an outage, not a fault of ours', async () => {
  await using t = await createTestApp()
  const { refreshToken } = await t.signUp()
  const refused = Object.assign(new Error('password authentication failed'), { code: '28P01' })
  const [saved, broken] = [
    t.deps.rotationDb,
    new Proxy(t.deps.rotationDb, {
      get: () => {
        throw refused
      },
    }),
  ]
  t.deps.rotationDb = broken
  const answer = await t.refresh(refreshToken)
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
  t.deps.rotationDb = saved
  expect((await t.refresh(refreshToken)).statusCode).toBe(200)
})

test('no argon2 runs inside a transaction: a login holds no connection while it hashes', async () => {
  await using t = await createTestApp({ env: { ARGON2_MEMORY_KIB: '262144' }, computeTag: computeHere })
  const { email, password } = await t.signUp()
  const login = t.login({ email, password })
  const seen = new Set<string>()
  let over = false
  void login.then(() => {
    over = true
  })
  while (!over) {
    const { rows } = await sql<{ state: string }>`
      SELECT state FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
        AND clock_timestamp() - state_change > interval '50 milliseconds'`.execute(t.db)
    for (const { state } of rows) seen.add(state)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect((await login).statusCode).toBe(200)
  expect([...seen]).toEqual([])
})

test.each(["' OR 1=1--", "'; DROP TABLE users;--", '$1', '%', '\\'])(
  'the SQL payload %s is a value like any other',
  async (payload) => {
    await using t = await createTestApp()
    const { accessToken } = await t.signUp()
    const refreshed = await t.refresh(payload)
    expect([refreshed.statusCode, refreshed.json().code]).toEqual([401, 'invalid_grant'])
    const login = await t.login({ email: 'nobody@example.com', password: payload.padEnd(8, 'x') })
    expect([login.statusCode, login.json().code]).toEqual([401, 'invalid_credentials'])
    const mail = await t.login({ email: `${payload}@example.com`, password: 'x'.repeat(8) })
    expect([400, 401]).toContain(mail.statusCode)
    const session = await t.inject({
      method: 'DELETE',
      url: `/sessions/${encodeURIComponent(payload)}`,
      headers: { authorization: `Bearer ${accessToken}` },
    })
    expect(session.statusCode).toBe(404)
    for (const answer of [refreshed, login, mail, session]) {
      expect(answer.body).not.toMatch(/syntax|postgres|relation|SQLSTATE|pg_/i)
    }
  },
)
