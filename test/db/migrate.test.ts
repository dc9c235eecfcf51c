import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { MayNotMigrate, migrate, pendingMigrations } from '../../src/db/migrate.ts'
import type { Db } from '../../src/db/schema.ts'
import { atOnce } from '../support/at-once.ts'
import { MIGRATIONS } from '../support/migrations.ts'
import { cloneDatabase, createDatabase, createRole, query, type TestDatabase } from '../support/postgres.ts'

async function emptyDatabase(): Promise<TestDatabase & { db: Db }> {
  const database = await createDatabase()
  const { db } = connect({ url: database.url, size: 2 })
  onTestFinished(async () => {
    await db.destroy()
    await database.drop()
  })
  return { ...database, db }
}

async function tablesIn(db: Db, schema: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    SELECT tablename::text AS name FROM pg_tables WHERE schemaname = ${schema} ORDER BY 1`.execute(db)
  return rows.map(({ name }) => name)
}

const within = (url: string, options: string): string => `${url}?options=${encodeURIComponent(options)}`
const failure = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: Error) => error,
  )

/** The dump names them. */
const OURS = [...readFileSync(new URL('schema.sql', import.meta.url), 'utf8').matchAll(/^(?:UNLOGGED )?TABLE (\w+)/gm)]
  .flatMap(([, name]) => name ?? [])
  .toSorted()

describe('a migration that fails says why', () => {
  test('the role may not create tables: which one, where, and what to grant', async () => {
    const database = await emptyDatabase()
    const role = await createRole(database)
    const error = await failure(migrate(role.url))
    expect(error).toBeInstanceOf(MayNotMigrate)
    expect(error.message).toContain('permission denied for schema public')
    expect(error.message).toContain(`GRANT CREATE ON SCHEMA public TO ${role.name}`)
    await sql.raw(`GRANT CREATE ON SCHEMA public TO ${role.name}`).execute(database.db)
    expect(await migrate(role.url)).toContain('0001_init')
  })

  test.each(['', 'nowhere'])('there is no schema: the search path is ‘%s’', async (path) => {
    const database = await emptyDatabase()
    const error = await failure(migrate(within(database.url, `-c search_path=${path}`)))
    expect(error.message).toContain(`there is no schema to create tables in: search_path is ‘${path}’`)
  })

  test('the database is read-only: not now, so that whoever starts waits', async () => {
    const database = await emptyDatabase()
    const error = await failure(migrate(within(database.url, '-c default_transaction_read_only=on')))
    expect(error).toMatchObject({ code: '25006' })
  })
})

test('a role that owns the tables but may no longer create any is told that, and not that they are another’s', async () => {
  const database = await emptyDatabase()
  const role = await createRole(database, 'GRANT CREATE ON SCHEMA public TO $role')
  await migrate(role.url)
  await sql`DELETE FROM claviger_migrations WHERE name = '0002_audit_functions'`.execute(database.db)
  await sql.raw(`REVOKE CREATE ON SCHEMA public FROM ${role.name}`).execute(database.db)
  const error = await failure(migrate(role.url))
  expect(error).toBeInstanceOf(MayNotMigrate)
  expect(error.message).toContain('permission denied for schema public')
})

describe('the schema is the first of the search path', () => {
  test('one further along that the role may not use is none of its business', async () => {
    const database = await emptyDatabase()
    const role = await createRole(database, 'CREATE SCHEMA locked', 'GRANT CREATE ON SCHEMA public TO $role')
    expect(await migrate(within(role.url, '-c search_path=public,locked'))).toContain('0001_init')
    const error = await failure(migrate(within(role.url, '-c search_path=locked,empty')))
    expect(error.message).toContain('permission denied for schema locked')
  })

  test('two installations in two schemas of one database, beside somebody else’s tables in public', async () => {
    const database = await emptyDatabase()
    await sql`CREATE TABLE public.migrations (id serial, migration text); CREATE TABLE public.users (id int)`.execute(
      database.db,
    )
    for (const schema of ['one', 'Zwei']) {
      const role = await createRole(database, `CREATE SCHEMA "${schema}" AUTHORIZATION $role`)
      const url = within(role.url, `-c search_path="${schema}",public`)
      expect(await migrate(url)).toContain('0001_init')
      expect(await migrate(url)).toEqual([])
      expect(await tablesIn(database.db, schema)).toEqual(OURS)
    }
    expect(await tablesIn(database.db, 'public')).toEqual(['migrations', 'users'])
  })

  test('a schema that is named like the role and made later does not hide the installation', async () => {
    const database = await emptyDatabase()
    const role = await createRole(database, 'GRANT CREATE ON SCHEMA public TO $role')
    await migrate(role.url)
    await sql.raw(`CREATE SCHEMA AUTHORIZATION ${role.name}`).execute(database.db)
    expect(await migrate(role.url)).toEqual([])
    await sql`DELETE FROM claviger_migrations WHERE name = '0002_audit_functions'`.execute(database.db)
    await sql`DROP FUNCTION audit_count_again, audit_delete_old`.execute(database.db)
    expect(await migrate(role.url)).toEqual(['0002_audit_functions'])
    expect(await tablesIn(database.db, role.name)).toEqual([])
  })
})

describe('what another program has in the schema', () => {
  test.each([
    ['migrations', 'CREATE TABLE migrations (id serial, migration text, batch int)'],
    ['migrations', `CREATE TABLE migrations (name text); INSERT INTO migrations VALUES ('0001_init')`],
    ['users', 'CREATE TABLE users (id int)'],
    ['audit, users', 'CREATE TABLE users (id int); CREATE VIEW audit AS SELECT * FROM users'],
  ])('%s: is named, and nothing is touched', async (names, statements) => {
    const database = await emptyDatabase()
    await sql.raw(statements).execute(database.db)
    const before = await tablesIn(database.db, 'public')
    const error = await failure(migrate(database.url))
    expect(error.message).toContain(`is not empty and not Claviger’s: it holds ${names} of another program`)
    expect(await tablesIn(database.db, 'public')).toEqual(before)
  })

  test('under other names is none of our business', async () => {
    const database = await emptyDatabase()
    await sql`CREATE TABLE orders (id int)`.execute(database.db)
    expect(await migrate(database.url)).toContain('0001_init')
  })
})

describe('an installation from before the bookkeeping had a name of its own', () => {
  const LATER = MIGRATIONS.slice(1)

  /** As Kysely's migrator has left it, with the tables of the first migration. */
  async function older(): Promise<TestDatabase & { db: Db }> {
    const database = await emptyDatabase()
    const first = await readFile(new URL('../../migrations/0001_init.sql', import.meta.url), 'utf8')
    await sql.raw(first).execute(database.db)
    await sql`
      CREATE TABLE migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
      CREATE TABLE migrations_lock (id varchar(255) PRIMARY KEY, is_locked integer DEFAULT 0 NOT NULL);
      INSERT INTO migrations VALUES ('0001_init', '2026-02-03T04:05:06.789Z');
      INSERT INTO migrations_lock VALUES ('migration_lock', 0)`.execute(database.db)
    return database
  }

  test('is taken over, with what it has', async () => {
    const database = await older()
    await sql`
      INSERT INTO users (id, email, created_at)
      SELECT gen_random_uuid(), name || '@example.com', now() FROM unnest('{a,b}'::text[]) AS name;
      INSERT INTO login_failures
      SELECT sha256(email::bytea), id, CASE email WHEN 'a@example.com' THEN 99 ELSE 100 END, now(), '2026-02-03T04:05:06Z'
      FROM users`.execute(database.db)
    expect(await pendingMigrations(database.db)).toEqual(LATER)
    expect(await migrate(database.url)).toEqual(LATER)
    expect(await pendingMigrations(database.db)).toEqual([])
    const { rows } = await sql<{
      at: Date
    }>`SELECT applied_at AS at FROM claviger_migrations WHERE name = '0001_init'`.execute(database.db)
    expect(rows).toEqual([{ at: new Date('2026-02-03T04:05:06.789Z') }])
    expect(
      await database.db.selectFrom('users').select(['email', 'password_disabled_at']).orderBy('email').execute(),
    ).toEqual([
      { email: 'a@example.com', password_disabled_at: null },
      { email: 'b@example.com', password_disabled_at: new Date('2026-02-03T04:05:06Z') },
    ])
  })

  test('keeps the table that the version before reads when it starts again', async () => {
    const database = await older()
    await migrate(database.url)
    const { rows } = await sql`SELECT name FROM migrations`.execute(database.db)
    expect(rows).toEqual([{ name: '0001_init' }])
  })

  test('is taken over although a request and the migration wait for each other', async () => {
    const database = await older()
    let migrating: Promise<string[]> | undefined
    await database.db.transaction().execute(async (tx) => {
      await sql`SELECT FROM login_failures FOR UPDATE`.execute(tx)
      migrating = migrate(database.url)
      const waiting =
        'SELECT FROM pg_locks JOIN pg_database d ON d.oid = database WHERE NOT granted AND datname = current_database()'
      await expect.poll(() => query(database.ownerUrl, waiting)).toHaveLength(1)
      await sql`UPDATE users SET email = email`.execute(tx)
    })
    expect(await migrating).toEqual(LATER)
  })

  test('that others share is taken over once by servers that start together', async () => {
    const database = await older()
    const applied = await atOnce(4, () => migrate(database.url))
    expect(applied.flat()).toEqual(LATER)
  })
})

test('a database whose names are not plain is named in statements that can be pasted', async () => {
  const database = await cloneDatabase()
  const { db } = connect({ url: database.url, size: 1 })
  onTestFinished(async () => {
    await db.destroy()
    await database.drop()
  })
  const role = await createRole(database, 'CREATE SCHEMA "Über uns"', 'GRANT USAGE ON SCHEMA "Über uns" TO $role')
  const error = await failure(migrate(within(role.url, '-c search_path="Über\\ uns"')))
  expect(error.message).toContain(`GRANT CREATE ON SCHEMA "Über uns" TO ${role.name}`)
})
