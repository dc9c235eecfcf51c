import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import pg from 'pg'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { MayNotMigrate, migrate, pendingMigrations } from '../../src/db/migrate.ts'
import type { Db } from '../../src/db/schema.ts'
import { prunings } from '../../src/deps.ts'
import { prune } from '../../src/prune.ts'
import { createTestApp, testEnvironment } from '../support/app.ts'
import { cloneDatabase, createDatabase, createRole, type TestDatabase } from '../support/postgres.ts'
import { spawnServer } from '../support/server.ts'

function open(url: string): Db {
  const { db } = connect({ url, size: 2 })
  onTestFinished(() => db.destroy())
  return db
}

/** Made before the pools that are opened on it, so dropped after they are closed. */
async function own(make: () => Promise<TestDatabase>): Promise<TestDatabase> {
  const database = await make()
  onTestFinished(() => database.drop())
  return database
}

const failure = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: Error) => error,
  )

/** As a database is that the newest migration has yet to come to. */
async function undoNewest(owner: Db, ...statements: string[]): Promise<void> {
  for (const statement of [
    'DROP FUNCTION audit_count_again, audit_delete_old',
    `DELETE FROM claviger_migrations WHERE name = '0002_audit_functions'`,
    ...statements,
  ])
    await sql.raw(statement).execute(owner)
}

describe('a role that serves', () => {
  test.each([
    ['change an audit event', `UPDATE audit SET reason = 'nothing happened'`],
    ['delete one', 'DELETE FROM audit'],
    ['empty the trail', 'TRUNCATE audit'],
    ['bring a key back that was withdrawn and deleted', 'DELETE FROM signing_keys'],
    ['note a migration that was not made', `INSERT INTO claviger_migrations VALUES ('0009_mine', now())`],
    ['make a table', 'CREATE TABLE mine (id int)'],
    ['make a function', `CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`],
    ['change a table', 'ALTER TABLE users ADD COLUMN mine int'],
    [
      'put a trigger on the trail',
      'CREATE TRIGGER t BEFORE INSERT ON audit EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    ],
    ['change what the functions of the owner do', 'ALTER FUNCTION audit_delete_old SECURITY INVOKER'],
    ['drop the trail', 'DROP TABLE audit'],
    ['become the owner', 'SET ROLE postgres'],
  ])('cannot %s', async (_what, statement) => {
    const database = await own(cloneDatabase)
    expect(await failure(sql.raw(statement).execute(open(database.url)))).toMatchObject({ code: '42501' })
  })

  test('cannot delete a young event by asking for old ones in ten years, nor by prune', async () => {
    await using t = await createTestApp()
    await t.signUp()
    const events = () => t.db.selectFrom('audit').select('id').execute()
    const before = await events()
    const { rows } = await sql`SELECT audit_delete_old(now() + interval '10 years', 1000) AS deleted`.execute(t.deps.db)
    expect(rows).toEqual([{ deleted: 0 }])
    t.travel(10 * 365 * 86_400)
    expect(await prune(t.deps, prunings(t.config))).toMatchObject({ audit: 0, families: 1 })
    expect(await events()).toEqual(before)
  })

  test('can delete what is old, and raise a count, without the right to change a row itself', async () => {
    await using t = await createTestApp()
    await sql`
      INSERT INTO audit (id, at, type, outcome, actor)
      SELECT gen_random_uuid(), now() - interval '366 days', 'login', 'success', 'user' FROM generate_series(1, 5)`.execute(
      t.db,
    )
    expect(await prune(t.deps, prunings(t.config))).toMatchObject({ audit: 5 })
  })

  test('gains nothing from tables of its own that are named like ours', async () => {
    const database = await own(cloneDatabase)
    const role = open(database.url)
    await role.connection().execute(async (db) => {
      await sql`CREATE TEMPORARY TABLE audit (id uuid, at timestamptz, details jsonb)`.execute(db)
      await sql`INSERT INTO audit VALUES (gen_random_uuid(), '2000-01-01', '{}')`.execute(db)
      await sql`SELECT audit_delete_old(now(), 10)`.execute(db)
      expect((await sql`SELECT FROM pg_temp.audit`.execute(db)).rows).toHaveLength(1)
    })
  })

  test('owns nothing', async () => {
    const database = await own(cloneDatabase)
    const { rows } = await sql`SELECT relname FROM pg_class WHERE relowner = current_user::regrole`.execute(
      open(database.url),
    )
    expect(rows).toEqual([])
  })

  test('functions of the owner are for nobody but those to whom they were granted', async () => {
    const database = await own(cloneDatabase)
    const stranger = await createRole(database)
    const asked = sql`SELECT audit_delete_old(now(), 10)`.execute(open(stranger.url))
    expect(await failure(asked)).toMatchObject({ code: '42501' })
  })
})

describe('migrate --grant-to', () => {
  test('an installation with one role becomes one with two, in any schema', async () => {
    const database = await own(createDatabase)
    const owner = await createRole(
      database,
      'CREATE SCHEMA "Auth" AUTHORIZATION $role',
      'ALTER ROLE $role SET search_path = "Auth"',
    )
    const serving = await createRole(database, 'ALTER ROLE $role SET search_path = "Auth"')
    await migrate(owner.url)
    const early = await failure(migrate(serving.url))
    expect(early).toBeInstanceOf(MayNotMigrate)
    expect(early.message).toContain('permission denied for schema Auth')
    expect(await migrate(owner.url, { grantTo: serving.name })).toEqual([])
    expect(await migrate(serving.url)).toEqual([])
    const db = open(serving.url)
    expect(await pendingMigrations(db)).toEqual([])
    expect(await db.selectFrom('users').selectAll().execute()).toEqual([])
    expect(await failure(sql`DELETE FROM audit`.execute(db))).toMatchObject({ code: '42501' })
  })

  test('lets the role call every function, also where functions are for nobody by default', async () => {
    const database = await own(createDatabase)
    const serving = await createRole(database, 'ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC')
    await migrate(database.ownerUrl, { grantTo: serving.name })
    const { rows } = await sql`
      SELECT oid::regprocedure::text AS name FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND NOT has_function_privilege(${serving.name}, oid, 'EXECUTE')`.execute(
      open(database.ownerUrl),
    )
    expect(rows).toEqual([])
  })

  test('takes back what the role had beyond it', async () => {
    const database = await own(createDatabase)
    const serving = await createRole(database)
    await migrate(database.ownerUrl)
    await sql.raw(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${serving.name}`).execute(open(database.ownerUrl))
    await migrate(database.ownerUrl, { grantTo: serving.name })
    expect(await failure(sql`DELETE FROM audit`.execute(open(serving.url)))).toMatchObject({ code: '42501' })
  })

  test('is needed once: what a later migration adds is granted with it', async () => {
    const database = await own(cloneDatabase)
    const role = new URL(database.url).username
    await undoNewest(open(database.ownerUrl), `REVOKE ALL ON families FROM ${role}`)
    expect(await migrate(database.ownerUrl)).toEqual(['0002_audit_functions'])
    const db = open(database.url)
    expect(await db.selectFrom('families').selectAll().execute()).toEqual([])
    expect((await sql`SELECT audit_delete_old(now(), 10) AS deleted`.execute(db)).rows).toEqual([{ deleted: 0 }])
  })

  const made =
    (...statements: string[]) =>
    async (database: TestDatabase, owner: string) =>
      (await createRole(database, ...statements.map((statement) => statement.replaceAll('$owner', owner)))).name

  test.each<[string, (database: TestDatabase, owner: string) => Promise<string>, string]>([
    [
      'is not there',
      async () => 'a_role_that_nobody_made',
      'there is no role “a_role_that_nobody_made”. Make it first',
    ],
    ['is a superuser', async () => 'postgres', 'is a superuser'],
    ['owns the tables', async (_database, owner) => owner, 'owns the tables'],
    ['may become their owner', made('GRANT $owner TO $role'), 'which owns the tables'],
    ['may become a superuser', made('GRANT postgres TO $role'), 'may become “postgres”, which is a superuser'],
    ['may make itself a member of others', made('ALTER ROLE $role CREATEROLE'), 'may give itself other roles'],
    ['may create tables', made('GRANT CREATE ON SCHEMA public TO $role'), 'may create tables; REVOKE CREATE ON SCHEMA'],
    [
      'may change the trail as everybody may',
      made('ALTER DEFAULT PRIVILEGES FOR ROLE $owner GRANT UPDATE ON TABLES TO PUBLIC'),
      'may change the audit trail; REVOKE ALL ON audit FROM PUBLIC',
    ],
    [
      'may change the trail as a role that it has to become first',
      made('ALTER ROLE $role NOINHERIT', 'GRANT pg_write_all_data TO $role'),
      'may become “pg_write_all_data”, which may change the audit trail',
    ],
  ])('refuses a role that %s, and then grants and migrates nothing', async (_what, prepare, message) => {
    const database = await own(createDatabase)
    const owner = await createRole(
      database,
      'GRANT CREATE ON SCHEMA public TO $role WITH GRANT OPTION',
      'GRANT USAGE ON SCHEMA public TO $role WITH GRANT OPTION',
    )
    const grantTo = await prepare(database, owner.name)
    const error = await failure(migrate(owner.url, { grantTo }))
    expect(error.message).toContain(message)
    expect(await pendingMigrations(open(database.ownerUrl))).toContain('0001_init')
  })
})

describe('a server whose role may not migrate', () => {
  const start = (databaseUrl: string) => {
    const server = spawnServer({
      ...testEnvironment(databaseUrl),
      LOG_LEVEL: 'info',
      PORT: '0',
      METRICS_PORT: '0',
      ISSUER: 'http://localhost:3000',
    })
    onTestFinished(async () => {
      server.child.kill('SIGKILL')
      await server.exited
    })
    return server
  }

  test('waits for the owner, says so, and goes on', async () => {
    const database = await own(cloneDatabase)
    await undoNewest(open(database.ownerUrl))
    const { output, child } = start(database.url)
    await expect.poll(output, { timeout: 10_000 }).toContain('waiting until its owner has migrated it')
    expect(output()).not.toContain('"msg":"ready"')
    expect(child.exitCode).toBeNull()
    await migrate(database.ownerUrl)
    await expect.poll(output, { timeout: 10_000 }).toContain('"msg":"ready"')
  })

  test('waits as well where there is nothing yet, and names what is missing', async () => {
    const database = await own(createDatabase)
    const serving = await createRole(database)
    const { output, child, exited } = start(serving.url)
    await expect.poll(output, { timeout: 10_000 }).toContain('permission denied for schema public')
    expect(output()).toContain(`claviger migrate --grant-to ${serving.name}`)
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })
})

test('the statements of the guide make two roles with which a server runs', async () => {
  const guide = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const [, statements = ''] = /### Two roles[^]*?```sql\n([^]*?)```/.exec(guide) ?? []
  const prefix = `${inject('databasePrefix')}_guide`
  const named = statements.replaceAll('claviger', prefix).replaceAll('…', 'of the guide')
  const admin = new pg.Client({ connectionString: inject('databaseUrl') })
  await admin.connect()
  onTestFinished(async () => {
    await admin.query(`DROP DATABASE IF EXISTS ${prefix} WITH (FORCE)`)
    await admin.query(`DROP ROLE IF EXISTS ${prefix}_owner, ${prefix}_serve`)
    await admin.end()
  })
  for (const statement of named.split(';').filter((text) => text.trim())) await admin.query(statement)
  const as = (role: string): string =>
    Object.assign(new URL(inject('databaseUrl')), {
      username: `${prefix}_${role}`,
      password: 'of the guide',
      pathname: `/${prefix}`,
    }).href

  expect(await migrate(as('owner'), { grantTo: `${prefix}_serve` })).toContain('0001_init')
  expect(await migrate(as('serve'))).toEqual([])
  await sql`INSERT INTO audit (id, at, type, outcome, actor) VALUES (gen_random_uuid(), now(), 'login', 'success', 'user')`.execute(
    open(as('serve')),
  )
})
