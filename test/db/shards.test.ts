import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { PLACEMENTS } from '../../src/db/placement.ts'
import { hashUuid, spansShards } from '../../src/db/shards.ts'
import { createTestApp, type TestApp } from '../support/app.ts'

let t: TestApp
beforeAll(async () => {
  t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
})
afterAll(() => t[Symbol.asyncDispose]())

test('ids hash as PostgreSQL hashes them', async () => {
  const ids = [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    ...Array.from({ length: 2000 }, () => randomUUID()),
  ]
  const { rows } = await sql<{ hash: number }>`
    SELECT uuid_hash(id) AS hash FROM unnest(${ids}::uuid[]) WITH ORDINALITY AS given (id, place) ORDER BY place`.execute(
    t.db,
  )
  expect(ids.map(hashUuid)).toEqual(rows.map(({ hash }) => hash))
})

test.skipIf(inject('citus'))('in a database on one machine all families are of one shard', () => {
  expect(t.deps.shards.isDivided()).toBe(false)
  expect(new Set(Array.from({ length: 100 }, () => t.deps.shards.of(randomUUID()))).size).toBe(1)
})

test.skipIf(!inject('citus'))('a family is of the shard that the database says', async () => {
  const ids = Array.from({ length: 500 }, () => randomUUID())
  const { rows } = await sql<{ shard: string }>`
    SELECT get_shard_id_for_distribution_column('families', id) AS shard
    FROM unnest(${ids}::uuid[]) WITH ORDINALITY AS given (id, place) ORDER BY place`.execute(t.db)
  const pairs = new Set(ids.map((id, index) => `${t.deps.shards.of(id)} ${rows[index]?.shard}`))
  // As many as there are shards: each of ours is one of theirs.
  expect(pairs.size).toBe(new Set(rows.map(({ shard }) => shard)).size)
  expect(pairs.size).toBeGreaterThan(1)
})

test.skipIf(!inject('citus'))('each table lies where it is said to', async () => {
  const { rows } = await sql<{ name: string; method: string; copied: boolean }>`
    SELECT logicalrelid::text AS name, partmethod AS method, repmodel = 't' AS copied FROM pg_dist_partition`.execute(
    t.db,
  )
  const found = rows.map(({ name, method, copied }) => [
    name,
    method === 'h' ? 'family' : copied ? 'everywhere' : 'other',
  ])
  const stated = Object.entries(PLACEMENTS).filter(([, placement]) => placement !== 'coordinator')
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(stated))
})

test.skipIf(!inject('citus'))('a statement about families of several shards is told from others', async () => {
  const ids = Array.from({ length: 100 }, () => randomUUID())
  expect(new Set(ids.map(t.deps.shards.of)).size).toBeGreaterThan(1)
  const lock = sql`SELECT id FROM families WHERE id = ANY(${ids}::uuid[]) FOR UPDATE`
  expect(spansShards(await lock.execute(t.db).catch((error: unknown) => error))).toBe(true)
  const wrong = sql`SELECT nothing FROM families`
  expect(spansShards(await wrong.execute(t.db).catch((error: unknown) => error))).toBe(false)
})

test('placements are stated for every table', async () => {
  const { rows } = await sql<{ name: string }>`
    SELECT relname::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
      AND relname <> 'claviger_migrations' AND relname !~ '_[0-9]{6,}$'`.execute(t.db)
  expect(Object.keys(PLACEMENTS).toSorted()).toEqual(rows.map(({ name }) => name).toSorted())
})
