import { sql } from 'kysely'
import { connect } from './connect.ts'
import { isDeadlock } from './errors.ts'
import { confineToServing, grantServing, rolesThatServe } from './grants.ts'
import { BOOKKEEPING, type Installation, insistOnRights, insistOnRoom, inspect } from './installation.ts'
import { type Migration, readMigrations, statementsOf, tablesOf } from './migration-files.ts'
import { freeCoordinatorTables, isDistributed, lockOneCopyOfUsers } from './placed.ts'
import type { Db, Tx } from './schema.ts'

export { MayNotMigrate, SchemaError } from './installation.ts'

export interface MigrateOptions {
  /** A role that is to serve without owning the tables. It is granted the rights that this takes, and no others. */
  grantTo?: string | undefined
  /** Those that there are, in order. By default those of this version. */
  migrations?: readonly Migration[] | undefined
}

/**
 * Brings the schema up to date in one transaction under an advisory lock: of two containers that start together, the
 * second waits, then finds nothing to do. A schema that is newer than this program is left as it is, because the previous
 * version may restart during a rolling update. Migrations are written so that it works.
 * @returns the names of the migrations applied.
 * @throws SchemaError; MayNotMigrate; the database's error. Nothing has been applied then.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  const { grantTo, migrations = await readMigrations() } = options
  const { db } = connect({ url: databaseUrl, size: 1, applicationName: 'claviger migrate', unhurried: true })
  try {
    const found = await inspect(db, tablesOf(migrations))
    if (missing(migrations, found).length === 0 && grantTo === undefined) return []
    insistOnRoom(found)
    insistOnRights(found)
    return await outlastDeadlocks(db, async (tx) => {
      await lockMigrations(tx)
      await sql`SELECT set_config('search_path', quote_ident(${found.schema}), true)`.execute(tx)
      // Another process may have migrated the schema while this one waited for the lock.
      const present = await inspect(tx, tablesOf(migrations))
      const pending = missing(migrations, present)
      if (pending.length > 0) await apply(tx, pending, present)
      // Migrations are written for one machine.
      if (await isDistributed(tx)) {
        await freeCoordinatorTables(tx)
        await lockOneCopyOfUsers(tx)
      }
      for (const role of await rolesThatServe(tx)) await grantServing(tx, present, role)
      if (grantTo !== undefined) await confineToServing(tx, present, grantTo)
      return pending.map(({ name }) => name)
    })
  } finally {
    await db.destroy()
  }
}

const ATTEMPTS = 16

/**
 * Servers go on meanwhile. They lock the same tables in other orders, and the database may decide against the change of the
 * schema. Citus always does, because of those in a deadlock it cancels the one that began last.
 */
export async function outlastDeadlocks<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (!isDeadlock(error) || attempt === ATTEMPTS) throw error
    }
  }
}

/**
 * One at a time changes what the tables are like. The lock belongs to the transaction: behind a pooler, one that belongs to the
 * session would guard nothing.
 */
export async function lockMigrations(tx: Tx): Promise<void> {
  // The timeouts configured for the role are meant for requests.
  await sql`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0`.execute(tx)
  await sql`SELECT pg_advisory_xact_lock(3853314791062309107)`.execute(tx)
}

async function apply(tx: Tx, pending: readonly Migration[], { bookkeeping }: Installation): Promise<void> {
  if (bookkeeping !== BOOKKEEPING) {
    await sql`CREATE TABLE ${sql.id(BOOKKEEPING)} (name text PRIMARY KEY, applied_at timestamptz NOT NULL)`.execute(tx)
  }
  if (bookkeeping && bookkeeping !== BOOKKEEPING) {
    await sql`
      INSERT INTO ${sql.id(BOOKKEEPING)} (name, applied_at)
      SELECT name, timestamp::timestamptz FROM ${sql.id(bookkeeping)}`.execute(tx)
  }
  for (const { name, text } of pending) {
    for (const statement of statementsOf(text)) await sql.raw(statement).execute(tx)
    await sql`INSERT INTO ${sql.id(BOOKKEEPING)} (name, applied_at) VALUES (${name}, clock_timestamp())`.execute(tx)
  }
}

function missing(migrations: readonly Migration[], { applied = [] }: Installation): Migration[] {
  return migrations.filter(({ name }) => !applied.includes(name))
}

/**
 * Names of migrations that the database lacks. Empty when the schema is current, or newer.
 * @throws SchemaError; MayNotMigrate if the role may not see which migrations were applied.
 */
export async function pendingMigrations(db: Db): Promise<string[]> {
  const migrations = await readMigrations()
  return missing(migrations, await inspect(db, tablesOf(migrations))).map(({ name }) => name)
}

/**
 * Names of the migrations that `migrate` would apply.
 * @throws SchemaError or MayNotMigrate if it would refuse to.
 */
export async function planMigrations(db: Db, migrations?: readonly Migration[]): Promise<string[]> {
  migrations ??= await readMigrations()
  const found = await inspect(db, tablesOf(migrations))
  const pending = missing(migrations, found)
  if (pending.length > 0) {
    insistOnRoom(found)
    insistOnRights(found)
  }
  return pending.map(({ name }) => name)
}
