import { sql } from 'kysely'
import { expect, inject, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { run } from '../cli/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'

// What an administrator may set for a database or a role, for the sake of other programs, and what would break one that
// relies on PostgreSQL's defaults: how times, intervals, bytes and arrays are written, which isolation a transaction has.
const HOSTILE: [setting: string, value: string][] = [
  ['DateStyle', `'German'`],
  ['DateStyle', `'SQL, DMY'`],
  ['DateStyle', `'Postgres, MDY'`],
  ['IntervalStyle', `'sql_standard'`],
  ['TimeZone', `'Asia/Kolkata'`],
  ['TimeZone', `'America/St_Johns'`],
  ['client_encoding', `'LATIN1'`],
  ['standard_conforming_strings', 'off'],
  ['bytea_output', `'escape'`],
  ['extra_float_digits', '-15'],
  ['array_nulls', 'off'],
  ['transform_null_equals', 'on'],
  ['default_transaction_isolation', `'serializable'`],
  ['default_transaction_isolation', `'repeatable read'`],
  ['default_transaction_deferrable', 'on'],
  ['statement_timeout', `'1ms'`],
  ['lock_timeout', `'1ms'`],
  ['idle_in_transaction_session_timeout', `'1ms'`],
  ['idle_session_timeout', `'50ms'`],
  ['transaction_timeout', `'50ms'`],
  ['row_security', 'off'],
  // Citus finds the shard of a statement by its values, which a generic plan does not have.
  ...(inject('citus') ? [] : [['plan_cache_mode', 'force_generic_plan'] as [string, string]]),
  ['plan_cache_mode', 'force_custom_plan'],
  ['client_min_messages', 'debug5'],
  ['quote_all_identifiers', 'on'],
  ['synchronous_commit', 'off'],
]

/** A replica all of whose connections have the setting. */
async function startUnder(setting: string, value: string): Promise<{ t: TestApp } & AsyncDisposable> {
  const first = await createTestApp({ env: { DATABASE_POOL_SIZE: '6' } })
  const alter = (change: string) =>
    sql.raw(`ALTER DATABASE ${new URL(first.databaseUrl).pathname.slice(1)} ${change}`).execute(first.db)
  await alter(`SET ${setting} = ${value}`).catch((error: { code?: string }) => {
    // PostgreSQL 15 does not know them all; then nobody can set it there.
    if (error.code !== '42704') throw error
  })
  const t = await createTestApp({ join: first })
  return {
    t,
    [Symbol.asyncDispose]: async () => {
      await t[Symbol.asyncDispose]()
      await alter('RESET ALL')
      await first[Symbol.asyncDispose]()
    },
  }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const isNow = (time: unknown): boolean => Math.abs(new Date(String(time)).getTime() - Date.now()) < 60_000

test.each(HOSTILE)('%s = %s, set for the database, changes nothing', async (setting, value) => {
  await using started = await startUnder(setting, value)
  const { t } = started
  const account = await t.signUp('zoe@example.com', 'vier stille Bären')
  const { email, password } = account
  const others = await atOnce(4, () => t.login({ email, password }))
  expect(others.map((answer) => answer.statusCode)).toEqual(Array(4).fill(200))

  // Together, so that they go in batches, and without a key.
  const tokens = [account.refreshToken, ...others.map((answer) => String(answer.json().refresh_token))]
  const refreshed = await Promise.all(tokens.map((token) => t.refresh(token, { body: { client_id: 'native' } })))
  expect(refreshed.map((answer) => answer.statusCode)).toEqual(Array(5).fill(200))
  const families = await t.db.selectFrom('families').select(['rotation_key_hash', 'generation', 'rotated_at']).execute()
  for (const family of families) {
    expect(family).toEqual({ rotation_key_hash: null, generation: 1, rotated_at: expect.any(Date) })
    expect(isNow(family.rotated_at)).toBe(true)
  }
  const keyed = refreshed[0]?.json().refresh_token as string
  expect((await t.refresh(keyed, { key: 'the same one' })).statusCode).toBe(200)
  expect((await t.refresh(keyed, { key: 'the same one' })).statusCode, 'a retry').toBe(200)
  await t.db.transaction().execute((tx) => sql`SELECT pg_sleep(0.08)`.execute(tx))

  const me = await t.inject({ url: '/me', headers: bearer(account.accessToken) })
  expect(me.json()).toMatchObject({ email: 'zoe@example.com', roles: [], claims: {} })
  expect(isNow(me.json().created_at)).toBe(true)
  const { sessions } = (await t.inject({ url: '/sessions', headers: bearer(account.accessToken) })).json()
  expect(sessions).toHaveLength(5)
  expect(isNow(sessions[0].created_at)).toBe(true)
  expect((await t.inject({ url: '/readyz' })).statusCode).toBe(200)
  const changed = await t.inject({
    method: 'POST',
    url: '/password',
    headers: { 'content-type': 'application/json', ...bearer(account.accessToken) },
    payload: JSON.stringify({ current_password: password, new_password: 'fünf laute Füchse' }),
  })
  expect(changed.statusCode).toBe(204)

  const listed = await run(['sessions', 'list', '--json'], { env: t.env })
  expect(listed.err).toBe('')
  const [session] = (JSON.parse(listed.out) as { sessions: { created_at: string; email: string }[] }).sessions
  expect(session?.email).toBe('zoe@example.com')
  expect(isNow(session?.created_at)).toBe(true)
  expect((await run(['users', 'disable', email], { env: t.env })).code).toBe(0)
  expect((await run(['doctor'], { env: t.env })).out).toMatch(/✓ clock/)
  expect(await migrate(t.databaseUrl)).toEqual([])
  expect(t.logs.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
})

test('settings that come with the URL go on counting, a schema above all', async () => {
  await using t = await createTestApp()
  await sql`CREATE SCHEMA elsewhere; GRANT USAGE ON SCHEMA elsewhere TO PUBLIC`.execute(t.db)
  const url = new URL(t.databaseUrl)
  url.searchParams.set('options', '-c search_path=elsewhere -c DateStyle=German -c work_mem=5MB')
  const { db } = connect({ url: url.href, size: 1 })
  try {
    const { rows } = await sql`
      SELECT current_schema() AS schema, current_setting('work_mem') AS memory, current_setting('DateStyle') AS style,
        current_setting('lock_timeout') AS lock`.execute(db)
    expect(rows).toEqual([{ schema: 'elsewhere', memory: '5MB', style: 'ISO, DMY', lock: '2s' }])
  } finally {
    await db.destroy()
  }
})
