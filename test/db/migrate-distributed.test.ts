import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { joinMachines, readNodes } from '../../dev/postgres/citus.ts'
import { connect } from '../../src/db/connect.ts'
import { distribute } from '../../src/db/distribute.ts'
import { migrate } from '../../src/db/migrate.ts'
import { type Migration, readMigrations } from '../../src/db/migration-files.ts'
import type { Db } from '../../src/db/schema.ts'
import { createTestApp, refreshTokenOf } from '../support/app.ts'
import { describeSchema } from '../support/describe-schema.ts'
import { createDatabase, createRole, type TestDatabase } from '../support/postgres.ts'

// What a migration does to a database that has been distributed. Without a cluster, the same on one machine.

const ALL = await readMigrations()
/** The first that a database could be distributed with. */
const DISTRIBUTABLE = ALL.filter(({ name }) => name <= '0018_distributable')

/** Of every kind that there may be one day. */
const LATER: Migration = {
  name: '9001_later',
  text: `
    CREATE OR REPLACE FUNCTION locked_user_by_email(wanted text) RETURNS SETOF users
    LANGUAGE plpgsql VOLATILE STRICT ROWS 1 AS $$
    BEGIN
      RETURN QUERY SELECT * FROM users WHERE email = wanted FOR NO KEY UPDATE;
    END $$;
    CREATE FUNCTION shouted(label text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
      RETURN upper(label);
    END $$;
    ALTER TABLE families ADD COLUMN label text NOT NULL DEFAULT 'none';
    ALTER TABLE users ADD COLUMN nickname text, ADD COLUMN shoe_size integer NOT NULL DEFAULT 42;
    UPDATE families SET label = shouted(client_id);
    UPDATE users SET nickname = shouted(email);
    CREATE INDEX families_label_idx ON families (label);
    ALTER TABLE families ADD CONSTRAINT families_label_is_heard CHECK (shouted(label) <> 'SILENCE');
    ALTER TABLE users ADD CONSTRAINT users_feet_are_small CHECK (shoe_size < 60) NOT VALID;
    CREATE TABLE badges (
      user_id uuid NOT NULL,
      number bigint GENERATED ALWAYS AS IDENTITY,
      CONSTRAINT badges_pkey PRIMARY KEY (user_id, number)
    );
    INSERT INTO badges (user_id) SELECT id FROM users;
    ALTER TABLE verifiers ADD COLUMN user_id uuid CONSTRAINT verifiers_user_id_fkey REFERENCES users ON DELETE CASCADE;`,
}

async function open(whenOver: (end: () => Promise<void>) => void): Promise<TestDatabase & { db: Db }> {
  const database = await createDatabase()
  const { db } = connect({ url: database.ownerUrl, size: 2, applicationName: 'test' })
  whenOver(async () => {
    await db.destroy()
    await database.drop()
  })
  const nodes = await readNodes(inject('databaseUrl'))
  if (inject('citus')) await joinMachines(nodes, inject('databaseUrl'), new URL(database.ownerUrl).pathname.slice(1))
  return { ...database, db }
}

async function seed(db: Db): Promise<void> {
  await sql`
    INSERT INTO users (id, email, created_at) SELECT gen_random_uuid(), n || '@example.com', now() FROM generate_series(1, 20) AS n
  `.execute(db)
  await sql`
    INSERT INTO families (id, user_id, client_id, delivery, remember, scope, audience, amr, auth_time, created_at,
      expires_at, idle_seconds, generation, current_hash, rotated_at, window_started_at)
    SELECT gen_random_uuid(), id, 'web', 'cookie', false, '{account}', '{x}', '{pwd}', now(), now(), now() + interval '1 day',
      3600, 0, sha256('0'), now(), now() FROM users`.execute(db)
}

const place = async (url: string, migrations: readonly Migration[]): Promise<void> => {
  if (inject('citus')) await distribute(url, { shards: 4, migrations })
}

describe('a later migration, by the owner of the tables', () => {
  let db: Db
  let applied: string[]
  beforeAll(async () => {
    const database = await open(afterAll)
    db = database.db
    const { url } = await createRole(database, 'GRANT CREATE ON SCHEMA public TO $role')
    await migrate(url, { migrations: DISTRIBUTABLE })
    await seed(db)
    await place(database.ownerUrl, DISTRIBUTABLE)
    applied = await migrate(url, { migrations: [...ALL, LATER] })
  })

  test('changes rows, columns, constraints and functions on every machine', async () => {
    expect(applied).toEqual([...ALL.slice(DISTRIBUTABLE.length), LATER].map(({ name }) => name))
    const { rows } = await sql`
      SELECT DISTINCT f.label, u.nickname = upper(u.email) AS loud FROM families f JOIN users u ON u.id = f.user_id`.execute(
      db,
    )
    expect(rows).toEqual([{ label: 'WEB', loud: true }])
    // They are spread over all shards.
    const families = await db.selectFrom('families').select('id').execute()
    expect(families).toHaveLength(20)
    for (const { id } of families) {
      const louder = sql`UPDATE families SET label = shouted('n' || label) WHERE id = ${id} RETURNING label`
      expect((await louder.execute(db)).rows).toEqual([{ label: 'NWEB' }])
      const silent = sql`UPDATE families SET label = 'silence' WHERE id = ${id}`
      await expect(silent.execute(db)).rejects.toThrow('families_label_is_heard')
    }
    await expect(sql`UPDATE users SET shoe_size = 60`.execute(db)).rejects.toThrow('users_feet_are_small')
  })

  test.skipIf(!inject('citus'))('makes an index on each shard', async () => {
    const isThere = `SELECT indexdef LIKE '%% (label)' FROM pg_indexes WHERE indexname LIKE 'families_label_idx%%' AND tablename = '%s'`
    const { rows } = await sql<{ result: string }>`
      SELECT result FROM run_command_on_shards('families', ${isThere})`.execute(db)
    expect(rows.map(({ result }) => result)).toEqual(Array(4).fill('t'))
  })

  test.skipIf(!inject('citus'))('leaves the tables of the coordinator alone, whatever they refer to', async () => {
    const { rows } = await sql`SELECT logicalrelid::text AS name FROM pg_dist_partition ORDER BY 1`.execute(db)
    expect(rows).toEqual([{ name: 'families' }, { name: 'users' }])
  })

  test('comes to the same as a migration before the tables are distributed', async () => {
    const other = await open(onTestFinished)
    await migrate(other.ownerUrl, { migrations: [...ALL, LATER] })
    await place(other.ownerUrl, [...ALL, LATER])
    // Names of shards are numbered.
    const [here, there] = await Promise.all([db, other.db].map((each) => describeSchema(each as never)))
    expect(here?.replaceAll(/users_\d+/g, 'users')).toEqual(there?.replaceAll(/users_\d+/g, 'users'))
    if (inject('citus')) expect(here).toMatch(/FROM users_\d+ WHERE email = wanted FOR NO KEY UPDATE/)
  })
})

test('requests wait for a migration, and nobody is signed out', async () => {
  await using t = await createTestApp()
  const { email, password, refreshToken } = await t.signUp()
  const tokens = [refreshToken]
  for (let count = 0; count < 5; count++) tokens.push(refreshTokenOf(await t.login({ email, password })))
  let isOver = false
  const statuses = new Set<number>()
  /** Until it has been done three times after the migration. */
  const keepOn = async (work: () => Promise<number>) => {
    for (let rest = 3; rest > 0; rest -= isOver ? 1 : 0) statuses.add(await work())
  }
  const working = [
    ...tokens.map(async (first) => {
      let token = first
      await keepOn(async () => {
        const answer = await t.refresh(token)
        if (answer.statusCode === 200) token = refreshTokenOf(answer)
        return answer.statusCode
      })
    }),
    keepOn(async () => (await t.login({ email, password })).statusCode),
  ]
  await migrate(t.database.ownerUrl, { migrations: [...ALL, LATER] }).finally(() => {
    isOver = true
  })
  await Promise.all(working)
  expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([])
})

test.skipIf(!inject('citus'))('a schema that is not up to date is not distributed', async () => {
  const database = await open(onTestFinished)
  await migrate(database.ownerUrl, { migrations: ALL.filter(({ name }) => name < '0018') })
  await expect(distribute(database.ownerUrl)).rejects.toThrow(/not up to date \(0018_distributable\b.*claviger migrate/)
  await migrate(database.ownerUrl)
  expect(await distribute(database.ownerUrl)).toMatchObject({ placed: [{ table: 'users' }, { table: 'families' }] })
})
