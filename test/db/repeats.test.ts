import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { changedNothing, isLost, isUnavailable, transact } from '../../src/db/errors.ts'
import { atOnce } from '../support/at-once.ts'
import { startForwarder } from '../support/forwarder.ts'
import { waitForLocks } from '../support/lock-waits.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { openPool, type Pool, pid, pids } from './pool.ts'

// What fails for its connection is done once more on another, where it certainly was not done before.

let database: TestDatabase
let other: Pool
beforeAll(async () => {
  database = await cloneDatabase()
  other = openPool(database.ownerUrl)
  await sql`CREATE TABLE notes (text text)`.execute(other.db)
  await sql`CREATE SEQUENCE attempts`.execute(other.db)
})
afterAll(async () => {
  await other[Symbol.asyncDispose]()
  await database.drop()
})
beforeEach(async () => {
  await sql`TRUNCATE notes; SELECT setval('attempts', 1, false)`.execute(other.db)
})

const note = ({ db }: Pick<Pool, 'db'>) => sql`INSERT INTO notes VALUES (${'a'})`.execute(db)
const notes = async (): Promise<number> => {
  const { rows } = await sql<{ count: number }>`SELECT count(*)::int FROM notes`.execute(other.db)
  return rows[0]?.count as number
}
/** Longer than a connection is young. */
const ages = () => sleep(1050)
/** As its server had become a standby, or as it had been opened while writes were switched off. */
const makeReadOnly = async ({ db }: Pool, connections: number) => {
  await atOnce(connections, () =>
    db.connection().execute(async (one) => {
      await sql`SET default_transaction_read_only = on`.execute(one)
      await sql`SELECT pg_sleep(0.1)`.execute(one)
    }),
  )
}

test('a write on a connection that has become read-only is made on another one, and the others of its age go as well', async () => {
  await using pool = openPool(database.ownerUrl, { size: 4 })
  const before = await pids(pool, 4)
  await makeReadOnly(pool, 4)
  await ages()
  await note(pool)
  expect(await notes()).toBe(1)
  const after = await pids(pool, 4)
  expect([...after].filter((each) => before.has(each))).toEqual([])
})

test('so is a transaction, from its start', async () => {
  await using pool = openPool(database.ownerUrl)
  await pid(pool)
  await makeReadOnly(pool, 1)
  await ages()
  await transact(pool.db, async (tx) => {
    await sql`SELECT nextval('attempts')`.execute(tx)
    await sql`INSERT INTO notes VALUES (${'a'})`.execute(tx)
  })
  expect(await notes()).toBe(1)
})

test('while the whole database is read-only, a connection is not replaced for every statement', async () => {
  const name = new URL(database.ownerUrl).pathname.slice(1)
  await using line = await startForwarder(Number(new URL(database.ownerUrl).port))
  await using pool = openPool(line.through(database.ownerUrl))
  await note(pool)
  await sql.raw(`ALTER DATABASE ${name} SET default_transaction_read_only = on`).execute(other.db)
  try {
    await sql`SELECT pg_terminate_backend(${await pid(pool)}::int)`.execute(other.db)
    await expect.poll(() => pool.pool.totalCount).toBe(0)
    const started = performance.now()
    for (let i = 0; i < 100; i++) await expect(note(pool)).rejects.toMatchObject({ code: '25006' })
    expect(line.connections()).toBeLessThan(3 + (performance.now() - started) / 500)
  } finally {
    await sql.raw(`ALTER DATABASE ${name} RESET default_transaction_read_only`).execute(other.db)
  }
  await ages()
  await note(pool)
})

test('a statement prepared before a migration changed its columns is prepared anew, on every connection', async () => {
  await using pool = openPool(database.ownerUrl, { size: 3 })
  const read = () =>
    sql`SELECT *, pg_sleep(0.1) FROM (VALUES (1)) AS v LEFT JOIN notes ON text <> ${'b'}`.execute(pool.db)
  await Promise.all([read(), read(), read()])
  await sql`ALTER TABLE notes ADD COLUMN more text`.execute(other.db)
  for (let i = 0; i < 4; i++) expect((await read()).rows[0]).toHaveProperty('more')
})

test('so is one that waited for the migration in a function, whose result is another afterwards', async () => {
  await using pool = openPool(database.ownerUrl)
  const read = () => sql`SELECT * FROM user_by_id(${randomUUID()}::uuid)`.execute(pool.db)
  await read()
  await using migration = openPool(database.ownerUrl)
  const reading = await migration.db.transaction().execute(async (tx) => {
    await sql`ALTER TABLE users ADD COLUMN more text`.execute(tx)
    const begun = read()
    await waitForLocks(other.db, 1)
    return { begun }
  })
  expect((await reading.begun).rows).toEqual([])
})

test('a prepared statement that is gone is prepared again', async () => {
  await using pool = openPool(database.ownerUrl)
  await note(pool)
  await sql`DEALLOCATE ALL`.execute(pool.db)
  await note(pool)
  expect(await notes()).toBe(2)
})

test('a transaction that lost its connection before the commit takes place, once', async () => {
  await using pool = openPool(database.ownerUrl)
  let attempts = 0
  await transact(pool.db, async (tx) => {
    await sql`INSERT INTO notes VALUES (${'a'})`.execute(tx)
    if (++attempts === 1) await sql`SELECT pg_terminate_backend(pg_backend_pid())`.execute(tx)
  })
  expect([attempts, await notes()]).toEqual([2, 1])

  attempts = 0
  const never = transact(pool.db, async (tx) => {
    attempts++
    await sql`SELECT pg_terminate_backend(pg_backend_pid())`.execute(tx)
  })
  // The error is the first one, not that of the ROLLBACK on a connection that is no more.
  await expect(never).rejects.toMatchObject({ code: '57P01' })
  expect(attempts).toBe(2)
})

test('one that lost it at the commit is not repeated: nobody knows whether it took place', async () => {
  await using pool = openPool(database.ownerUrl)
  await sql`
    CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM nextval(''attempts''), pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION end_session()`.execute(other.db)
  try {
    const attempt = transact(pool.db, (tx) => sql`INSERT INTO notes VALUES (${'a'})`.execute(tx))
    const error = await attempt.catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: '57P01' })
    expect(isUnavailable(error)).toBe(true)
    const { rows } = await sql`SELECT last_value::int AS value FROM attempts`.execute(other.db)
    expect(rows).toEqual([{ value: 1 }])
  } finally {
    await sql`DROP FUNCTION end_session CASCADE`.execute(other.db)
  }
})

// As 13.2 reports it.
test.each([
  [
    'could not commit transaction for shard 102010 on at least one active node',
    'ErrorIfPostCommitFailedShardPlacements',
  ],
  ['postmaster was shut down, exiting', 'ProcessWaitEvents'],
])('nor one that lost a machine of Citus, which is an outage: %s', (message, routine) => {
  const error = Object.assign(new Error(message), { code: 'XX000', routine })
  expect([isUnavailable(error), isLost(error), changedNothing(error)]).toEqual([true, false, false])
})

test('a statement by itself that lost its connection is not repeated either', async () => {
  await using pool = openPool(database.ownerUrl)
  await expect(
    sql`INSERT INTO notes SELECT ${'a'} WHERE nextval('attempts') > 0 AND pg_terminate_backend(pg_backend_pid())`.execute(
      pool.db,
    ),
  ).rejects.toMatchObject({ code: '57P01' })
  const { rows } = await sql`SELECT last_value::int AS value FROM attempts`.execute(other.db)
  expect(rows).toEqual([{ value: 1 }])
})

test('a transaction that finds its connection ended begins on another one', async () => {
  await using line = await startForwarder(Number(new URL(database.ownerUrl).port))
  await using pool = openPool(line.through(database.ownerUrl))
  const before = await pid(pool)
  // Nobody here has heard of its end yet.
  line.pause('toClient')
  await sql`SELECT pg_terminate_backend(${before}::int)`.execute(other.db)
  let attempts = 0
  const done = pool.db.transaction().execute(async (tx) => {
    attempts++
    await sql`INSERT INTO notes VALUES (${'a'})`.execute(tx)
  })
  await sleep(50)
  line.resume()
  await done
  expect([attempts, await notes()]).toEqual([1, 1])
})
