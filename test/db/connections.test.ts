import { sql } from 'kysely'
import pg from 'pg'
import { expect, test } from 'vitest'
import { watchConnections } from '../../src/db/connections.ts'
import { belongsToConnection } from '../../src/db/errors.ts'
import { createHosts } from '../../src/db/hosts.ts'
import { forFile } from '../support/for-file.ts'
import { startForwarder } from '../support/forwarder.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { openPool, pid, pids } from './pool.ts'

const database = forFile(await cloneDatabase())

const failure = (code: string, more: object = {}) =>
  Object.assign(new Error('as PostgreSQL says it'), { code, ...more })

test.each<[string, boolean, Error]>([
  ['read-only', true, failure('25006')],
  ['ended by the administrator', true, failure('57P01')],
  ['ended by a crash of another session', true, failure('57P02')],
  ['the server starts up or shuts down', true, failure('57P03')],
  ['idle for too long', true, failure('57P05')],
  ['idle in a transaction for too long', true, failure('25P03')],
  ['a transaction that took too long', true, failure('25P04')],
  ['a failure of the connection', true, failure('08006')],
  ['no such prepared statement', true, failure('26000')],
  ['a prepared statement of that name exists', false, failure('42P05')],
  ['a plan from before a migration', true, failure('0A000', { routine: 'RevalidateCachedQuery' })],
  ['reset', true, failure('ECONNRESET')],
  ['no answer in time', true, new Error('Query read timeout')],
  ['closed without a word', true, new Error('Connection terminated unexpectedly')],
  ['another thing that is not supported', false, failure('0A000', { routine: 'transformInsertStmt' })],
  ['a lock not had in time', false, failure('55P03')],
  ['a statement that took too long', false, failure('57014')],
  ['a deadlock', false, failure('40P01')],
  ['a serialisation failure', false, failure('40001')],
  ['a duplicate', false, failure('23505')],
  ['no such table', false, failure('42P01')],
  ['no memory', false, failure('53200')],
])('an error belongs to the connection or to the statement: %s', (_name, expected, error) => {
  expect(belongsToConnection(error)).toBe(expected)
})

test('an error of the statement costs no connection', async () => {
  await using pool = openPool(database.url)
  const before = await pid(pool)
  await expect(sql`SELECT 1 / ${0}::int`.execute(pool.db)).rejects.toMatchObject({ code: '22012' })
  await expect(pool.db.transaction().execute((tx) => sql`SELECT 1 / ${0}::int`.execute(tx))).rejects.toMatchObject({
    code: '22012',
  })
  expect(await pid(pool)).toBe(before)
})

test('a connection that is given back in the middle of a transaction is closed: the next borrower would be part of it', async () => {
  await using pool = openPool(database.url)
  const before = await pid(pool)
  await pool.db.connection().execute((one) => sql`BEGIN`.execute(one))
  expect(await pid(pool)).not.toBe(before)
})

test('timeouts are those asked for, the others as usual', async () => {
  await using pool = openPool(database.url, { timeouts: { lock: 700, acquire: 300 } })
  const { rows } = await sql<{ name: string; setting: string }>`
    SELECT name, setting FROM pg_settings
    WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
    ORDER BY name`.execute(pool.db)
  expect(rows.map(({ setting }) => Number(setting))).toEqual([10_000, 700, 5000])
  const busy = sql`SELECT pg_sleep(1)`.execute(pool.db)
  const started = performance.now()
  await expect(sql`SELECT 1`.execute(pool.db)).rejects.toThrow('timeout exceeded when trying to connect')
  expect(performance.now() - started).toBeLessThan(900)
  await busy
})

test('an answer that does not come in time costs the connection: it might come yet, and pass for that of the next statement', async () => {
  await using pool = openPool(database.url, { timeouts: { answer: 200 } })
  const before = await pid(pool)
  await expect(sql`SELECT pg_sleep(0.5)`.execute(pool.db)).rejects.toThrow('Query read timeout')
  expect(await pid(pool)).not.toBe(before)
})

test('after a server has gone without a word, one wait shows it for all connections, not one wait for each', async () => {
  await using line = await startForwarder(Number(new URL(database.url).port))
  await using pool = openPool(line.through(database.url), { size: 4, timeouts: { answer: 400 } })
  const before = await pids(pool, 4)
  line.freeze()
  await expect(pid(pool)).rejects.toThrow('Query read timeout')
  for (const each of await pids(pool, 4)) expect(before.has(each)).toBe(false)
})

test('what was heard in the millisecond before the question that nobody answered is no better', async () => {
  await using opened = await openRaw()
  const { connections } = opened
  const [silent, before, after] = [await connections.take(), await connections.take(), await connections.take()]
  connections.praise(before)
  const askedAt = performance.now()
  // Timers end up to a millisecond early: the time of the error, less the wait, is no measure.
  connections.praise(after)
  expect(connections.blame(silent, new Error('Query read timeout'), askedAt)).toBe(true)
  for (const client of [after, before, silent]) connections.giveBack(client, client === silent)
  const next = await connections.take()
  connections.giveBack(next, false)
  expect(next).toBe(after)
  expect(opened.pool.totalCount).toBe(1)
})

/** The watch over a pool without what lends its connections. */
async function openRaw() {
  const pool = new pg.Pool({ connectionString: database.url, max: 3 })
  const connections = watchConnections(pool, createHosts(database.url), { acquire: 2000, age: 60_000 })
  return { pool, connections, [Symbol.asyncDispose]: () => pool.end() }
}

test('one slow answer costs only its own connection, where others have answered meanwhile', async () => {
  await using pool = openPool(database.url, { size: 2, timeouts: { answer: 400 } })
  const before = await pids(pool, 2)
  const slow = sql`SELECT pg_sleep(1)`.execute(pool.db).catch((error: unknown) => error)
  for (let turn = 0; turn < 10; turn++) await sql`SELECT pg_sleep(0.05)`.execute(pool.db)
  expect(await slow).toMatchObject({ message: 'Query read timeout' })
  expect([...(await pids(pool, 2))].filter((each) => before.has(each))).toHaveLength(1)
})
