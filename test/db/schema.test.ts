import { sql } from 'kysely'
import { expect, inject, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { migrate, pendingMigrations } from '../../src/db/migrate.ts'
import { atOnce } from '../support/at-once.ts'
import { describeSchema } from '../support/describe-schema.ts'
import { MIGRATIONS } from '../support/migrations.ts'
import { cloneDatabase, createDatabase } from '../support/postgres.ts'

// `distribute` drops the foreign keys of the coordinator's tables, and Citus takes every constraint of a shard for validated.
test.skipIf(inject('citus'))('the schema is what the dump in git says', async () => {
  const database = await cloneDatabase()
  const { db } = connect({ url: database.ownerUrl, size: 2 })
  try {
    await expect(await describeSchema(db as never)).toMatchFileSnapshot('schema.sql')
  } finally {
    await db.destroy()
    await database.drop()
  }
})

test('four servers that start together on an empty database migrate it once', async () => {
  await using database = await createDatabase()
  const applied = await atOnce(4, () => migrate(database.ownerUrl))
  expect(applied.flat()).toEqual(MIGRATIONS)
  const { db } = connect({ url: database.ownerUrl, size: 1 })
  try {
    expect(await pendingMigrations(db)).toEqual([])
  } finally {
    await db.destroy()
  }
})

test('a schema newer than the program is left as it is: the previous version restarts in a rolling update', async () => {
  const database = await cloneDatabase()
  const { db } = connect({ url: database.ownerUrl, size: 2 })
  try {
    await sql`INSERT INTO claviger_migrations (name, applied_at) VALUES ('9999_from_the_future', '2099-01-01')`.execute(
      db,
    )
    expect(await migrate(database.ownerUrl)).toEqual([])
  } finally {
    await db.destroy()
    await database.drop()
  }
})

// A shard is a table like any other, and counts its updates on its own machine.
test.skipIf(inject('citus'))('a rotation is a HOT update: nothing that it changes is indexed', async () => {
  const database = await cloneDatabase()
  const { db } = connect({ url: database.ownerUrl, size: 1 })
  try {
    await sql`INSERT INTO users (id, email, created_at) VALUES (gen_random_uuid(), 'a@example.com', now())`.execute(db)
    await sql`
      INSERT INTO families (id, user_id, client_id, delivery, remember, scope, audience, amr, auth_time, created_at,
        expires_at, idle_seconds, generation, current_hash, rotated_at, window_started_at)
      SELECT gen_random_uuid(), id, 'web', 'cookie', false, '{account}', '{x}', '{pwd}', now(), now(), now() + interval '1 day',
        3600, 0, sha256('0'), now(), now() FROM users`.execute(db)
    for (let generation = 1; generation <= 200; generation++) {
      await sql`
        UPDATE families SET generation = ${generation}, current_hash = sha256(${String(generation)}::text::bytea),
          previous_generation = generation, previous_hash = current_hash, salt = substr(current_hash, 1, 16),
          rotated_at = now(), rotation_key_hash = current_hash, retried = false, retry_streak = 0,
          window_started_at = now(), window_count = window_count + 1`.execute(db)
    }
    await sql`SELECT pg_stat_force_next_flush()`.execute(db)
    const { rows } = await sql<{ updates: string; hot: string }>`
      SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'families'`.execute(db)
    expect(Number(rows[0]?.updates)).toBe(200)
    expect(Number(rows[0]?.hot)).toBeGreaterThan(180)
  } finally {
    await db.destroy()
    await database.drop()
  }
})
