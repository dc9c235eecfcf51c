import { sql } from 'kysely'
import { expect, test, vi } from 'vitest'
import { createTestApp, type TestApp } from '../support/app.ts'
import { openStream, readList, revokeSessions } from './support.ts'

async function epochOf(t: TestApp): Promise<string> {
  await t.deps.feed.look()
  return t.deps.feed.held.position().epoch
}

test('servers of one database are in one epoch, and stay in it', async () => {
  await using t = await createTestApp()
  await using other = await createTestApp({ join: t })
  const [first, second] = await Promise.all([epochOf(t), epochOf(other)])
  expect(second).toBe(first)
  await revokeSessions(t, 2)
  expect([await epochOf(t), await epochOf(other)]).toEqual([first, first])
  await using third = await createTestApp({ join: t })
  expect(await epochOf(third)).toBe(first)
})

test('numbers that go back are of another epoch, and every reader is told to begin anew', async () => {
  await using t = await createTestApp()
  await using other = await createTestApp({ join: t })
  const streams = await Promise.all([t, other].map(async (each) => await openStream(await each.listen())))
  await revokeSessions(t, 5)
  for (const stream of streams) for (let n = 0; n < 5; n++) await stream.next('revocation')
  const before = await epochOf(t)
  // A copy of the rows from a moment ago is put in their place.
  await t.db.transaction().execute(async (tx) => {
    await sql`UPDATE revocation_feed SET last_seq = 3`.execute(tx)
    await sql`DELETE FROM revocations WHERE seq > 3`.execute(tx)
  })
  const resets = await Promise.all(streams.map((stream) => stream.next('reset')))
  const after = await epochOf(t)
  expect(after).not.toBe(before)
  expect(resets.map(({ data }) => JSON.parse(data))).toEqual([
    { epoch: after, seq: 3 },
    { epoch: after, seq: 3 },
  ])
  // Of the epoch that ended: everything, from the one that has begun.
  await vi.waitFor(async () => expect(await readList(t, `${before}.4`)).toMatchObject({ epoch: after, seq: 3 }), 3000)
  await revokeSessions(t, 1)
  expect((await streams[0]?.next('revocation'))?.id).toBe(`${after}.4`)
  for (const stream of streams) await stream[Symbol.asyncDispose]()
})

test('rows that were taken out and put back, as by a restore into the same database, are another epoch', async () => {
  await using t = await createTestApp()
  await revokeSessions(t, 5)
  const before = await epochOf(t)
  await t.db.transaction().execute(async (tx) => {
    await sql`CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM revocations WHERE seq <= 3`.execute(tx)
    await sql`TRUNCATE revocations`.execute(tx)
    await sql`INSERT INTO revocations SELECT * FROM kept`.execute(tx)
    // It has caught up with the number that was seen here before anybody looks.
    await sql`UPDATE revocation_feed SET last_seq = 6`.execute(tx)
  })
  expect(await epochOf(t)).not.toBe(before)
  expect(t.deps.feed.held.listed().map(({ seq }) => seq)).toEqual([1, 2, 3])
})

test('a dump that is restored into another database is of another epoch there', async () => {
  await using t = await createTestApp()
  await revokeSessions(t, 5)
  const before = await epochOf(t)
  await using restored = await createTestApp()
  const [rows, feed] = [
    await t.db.selectFrom('revocations').selectAll().execute(),
    await t.db.selectFrom('revocation_feed').selectAll().executeTakeFirstOrThrow(),
  ]
  await restored.db.updateTable('revocation_feed').set(feed).execute()
  await restored.db.insertInto('revocations').values(rows).execute()
  const after = await epochOf(restored)
  expect(after).toMatch(/^[\w-]{22}$/)
  expect(after).not.toBe(before)
  expect(restored.deps.feed.held.position().seq).toBe(5)
  expect(restored.deps.feed.held.listed()).toHaveLength(5)
  // The one that it was taken from goes on as it was.
  expect(await epochOf(t)).toBe(before)
})
