import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration'
import { connect } from './connect.ts'
import type { Db, Tx } from './schema.ts'

const TABLES = { migrationTableName: 'migrations', migrationLockTableName: 'migrations_lock' }
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url))

/** `migrations/*.sql` in order of name. Forward only: there is no down. */
const provider: MigrationProvider = {
  getMigrations: async () => {
    const files = (await readdir(FOLDER)).filter((file) => /^\d{4}_[a-z0-9_]+\.sql$/.test(file)).toSorted()
    const migrations: Record<string, Migration> = {}
    for (const file of files) {
      const text = await readFile(new URL(file, `file://${FOLDER}`), 'utf8')
      migrations[file.replace(/\.sql$/, '')] = { up: async (db) => void (await sql.raw(text).execute(db)) }
    }
    return migrations
  },
}

/**
 * Brings the schema up to date in one transaction under an advisory lock, so two containers that start together do it
 * once: the second waits, then finds nothing to do. A schema that is newer than this program is left as it is: in a
 * rolling update the previous version still restarts, and migrations are written so that it can.
 * @returns the names of the migrations applied.
 * @throws the database's error; nothing is then applied.
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const { db } = connect({ url: databaseUrl, size: 2, applicationName: 'claviger migrate', unhurried: true })
  try {
    if ((await pendingMigrations(db)).length === 0) return []
    return await db.transaction().execute(async (tx) => {
      await lockMigrations(tx)
      const { error, results } = await new Migrator({ db: tx, provider, ...TABLES }).migrateToLatest()
      if (error) throw error instanceof Error ? error : new Error('a migration failed', { cause: error })
      return (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName)
    })
  } finally {
    await db.destroy()
  }
}

/**
 * Held until the transaction ends, in place of Kysely's own lock, which belongs to the connection: behind a pooler that
 * lends connections by transaction it would guard nothing and never be given back. Same number, for older replicas.
 */
async function lockMigrations(tx: Tx): Promise<void> {
  Object.assign(tx.getExecutor().adapter, {
    acquireMigrationLock: async () => {},
    releaseMigrationLock: async () => {},
  })
  // A role's own timeouts are meant for requests.
  await sql`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0`.execute(tx)
  await sql`SELECT pg_advisory_xact_lock(3853314791062309107)`.execute(tx)
}

/** Names of migrations that the database lacks. Empty when the schema is current, or newer. */
export async function pendingMigrations(db: Db): Promise<string[]> {
  const known = Object.keys(await provider.getMigrations())
  const exists = await sql<{ found: boolean }>`SELECT to_regclass('migrations') IS NOT NULL AS found`.execute(db)
  if (!exists.rows[0]?.found) return known
  const applied = await sql<{ name: string }>`SELECT name FROM migrations`.execute(db)
  const names = new Set(applied.rows.map((row) => row.name))
  return known.filter((name) => !names.has(name))
}
