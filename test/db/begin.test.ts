import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Tx } from '../../src/db/schema.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { openPool, type Pool, pid } from './pool.ts'

// A transaction begins together with its first statement.

let database: TestDatabase
beforeAll(async () => {
  database = await cloneDatabase()
  await using pool = openPool(database.ownerUrl)
  await sql`CREATE TABLE notes (text text)`.execute(pool.db)
})
afterAll(() => database.drop())
beforeEach(async () => {
  await using pool = openPool(database.ownerUrl)
  await sql`TRUNCATE notes`.execute(pool.db)
})

const note = (tx: Tx, text = 'a') => sql`INSERT INTO notes VALUES (${text})`.execute(tx)
const notes = async (pool: Pool) => (await sql<{ text: string }>`SELECT text FROM notes`.execute(pool.db)).rows
const never = new Error('never')

test('BEGIN is not sent by itself, and one that asks nothing sends nothing', async () => {
  await using pool = openPool(database.ownerUrl)
  await notes(pool)
  const sent = vi.spyOn(pg.Client.prototype, 'query')
  await pool.db.transaction().execute(async () => {})
  await pool.db
    .transaction()
    .execute(() => Promise.reject(never))
    .catch(() => {})
  expect(sent).not.toHaveBeenCalled()
  await pool.db.transaction().execute((tx) => note(tx))
  expect(sent).toHaveBeenCalledTimes(2)
  expect(await notes(pool)).toEqual([{ text: 'a' }])
})

test('its statements are one transaction, the first included, whether or not it is named', async () => {
  await using pool = openPool(database.ownerUrl)
  const abandoned = (first: (tx: Tx) => Promise<unknown>) =>
    pool.db.transaction().execute(async (tx) => {
      await first(tx)
      await note(tx, 'b')
      throw never
    })
  for (let turn = 0; turn < 2; turn++) await expect(abandoned((tx) => note(tx))).rejects.toBe(never)
  await expect(abandoned((tx) => sql`INSERT INTO notes VALUES ('a')`.execute(tx))).rejects.toBe(never)
  expect(await notes(pool)).toEqual([])
})

test('what the first statement returns is its result, with rows or without', async () => {
  await using pool = openPool(database.ownerUrl)
  for (let turn = 0; turn < 2; turn++) {
    const { rows } = await pool.db.transaction().execute((tx) => sql`SELECT ${'x'}::text AS text`.execute(tx))
    expect(rows).toEqual([{ text: 'x' }])
    const { numAffectedRows } = await pool.db.transaction().execute((tx) => note(tx))
    expect(numAffectedRows).toBe(1n)
  }
})

test('if it fails, nothing of it remains, and the connection is as good as before', async () => {
  await using pool = openPool(database.ownerUrl)
  const before = await pid(pool)
  const divide = (by: number) => pool.db.transaction().execute((tx) => sql`SELECT 1 / ${by}::int AS one`.execute(tx))
  for (let turn = 0; turn < 2; turn++) await expect(divide(0)).rejects.toMatchObject({ code: '22012' })
  await expect(divide(1)).resolves.toMatchObject({ rows: [{ one: 1 }] })
  expect(await pid(pool)).toBe(before)
})

test('a first statement that could not be parsed is parsed again', async () => {
  await using pool = openPool(database.ownerUrl)
  const before = await pid(pool)
  const write = () => pool.db.transaction().execute((tx) => sql`INSERT INTO later VALUES (${'a'})`.execute(tx))
  for (let turn = 0; turn < 2; turn++) await expect(write()).rejects.toMatchObject({ code: '42P01' })
  await sql`CREATE TABLE later (text text)`.execute(pool.db)
  await write()
  expect(await pid(pool)).toBe(before)
})

test('one whose first statement is prepared no more begins on another connection, once', async () => {
  await using pool = openPool(database.ownerUrl)
  await pool.db.transaction().execute((tx) => note(tx))
  await sql`DEALLOCATE ALL`.execute(pool.db)
  const again = pool.db.transaction().execute(async (tx) => {
    await note(tx, 'b')
    await note(tx, 'c')
    throw never
  })
  await expect(again).rejects.toBe(never)
  expect(await notes(pool)).toEqual([{ text: 'a' }])
})
