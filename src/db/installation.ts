import { sql } from 'kysely'
import type { Db } from './schema.ts'

/** The table of applied migrations. Many programs keep one and call it `migrations`, so ours has a name of its own. */
export const BOOKKEEPING = 'claviger_migrations'
/** Its name in older installations. The old table is kept there, so that the previous version can still start. */
const FORMERLY = 'migrations'

/** What the schema holds that our tables are in, or would be. */
export interface Installation {
  schema: string
  role: string
  database: string
  /** Migrations that were applied; undefined if none of our tables is there. */
  applied: string[] | undefined
  /** The table that lists them. */
  bookkeeping: typeof BOOKKEEPING | typeof FORMERLY | undefined
  /** Tables of another program under names that ours would take. */
  strangers: string[]
  mayCreate: boolean
  /** Whether the role owns those of our tables that exist. */
  owned: boolean
}

/** There is no schema for our tables, or another program occupies it. The message says what to do about it. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
}

/** The schema is not up to date and this role may not change it: its owner must. */
export class MayNotMigrate extends Error {
  override readonly name = 'MayNotMigrate'
}

interface Place {
  schema: string | null
  /** The first schema that exists on the search path, if the role may not use it. */
  closed: string | null
  role: string
  database: string
  path: string
  mayCreate: boolean
}

/**
 * Inspects the one schema that our tables are in, or would be created in: the first on the search path. What other
 * schemas hold does not matter.
 * @param ourTables the tables that the migrations create.
 * @throws SchemaError if there is no schema; MayNotMigrate if the role may not see which migrations were applied.
 */
export async function inspect(db: Db, ourTables: readonly string[]): Promise<Installation> {
  const { schema, closed, role, database, path, mayCreate } = await findPlace(db)
  if (schema === null) throw closed === null ? noSchema(role, path) : notOpen(role, closed)
  const { rows: found } = await sql<{ name: string; columns: string[]; owned: boolean; readable: boolean }>`
    SELECT c.relname AS name, pg_has_role(c.relowner, 'USAGE') AS owned, has_table_privilege(c.oid, 'SELECT') AS readable,
      ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${schema} AND c.relname = ANY(${[...ourTables, BOOKKEEPING, FORMERLY]}::text[])
    ORDER BY c.relname`.execute(db)
  const table = (name: string) => found.find((each) => each.name === name)
  const ours = table(BOOKKEEPING) ?? (looksOurs(table(FORMERLY), table('families')) ? table(FORMERLY) : undefined)
  if (ours && !ours.readable) throw notGranted(role, schema)
  // The closed schema comes first on the path, so it is the intended one: its owner has yet to let this role use it.
  if (!ours && closed !== null) throw notOpen(role, closed)

  const names = ours && (await appliedIn(db, schema, ours.name))
  const applied = ours?.name === BOOKKEEPING || names?.includes('0001_init') ? names : undefined
  const isOurs = (name: string) => name === BOOKKEEPING || ourTables.includes(name)
  return {
    schema,
    role,
    database,
    applied,
    bookkeeping: applied && (ours?.name as Installation['bookkeeping']),
    strangers: applied ? [] : found.map(({ name }) => name),
    mayCreate,
    owned: found.every((each) => each.owned || !isOurs(each.name)),
  }
}

/**
 * The default search path begins with a schema named like the role, which somebody may create at any time for another
 * purpose. Statements still find our tables further along the path, so their schema is the one that counts.
 */
async function findPlace(db: Db): Promise<Place> {
  const { rows } = await sql<Place>`
    WITH home AS (
      SELECT CASE WHEN current_schema() = current_user AND current_setting('search_path') LIKE '%$user%'
        THEN coalesce(
          (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass('families')),
          current_schema())
        ELSE current_schema() END AS schema
    )
    SELECT schema::text, current_user::text AS role, current_database()::text AS database,
      current_setting('search_path') AS path,
      (SELECT CASE WHEN NOT has_schema_privilege(oid, 'USAGE') THEN nspname::text END
        FROM regexp_split_to_table(current_setting('search_path'), '\\s*,\\s*') WITH ORDINALITY AS named (name, place)
        JOIN pg_namespace ON quote_ident(nspname) = name OR (name = '"$user"' AND nspname = current_user)
        ORDER BY place LIMIT 1) AS closed,
      coalesce(has_schema_privilege(schema, 'CREATE'), false) AS "mayCreate"
    FROM home`.execute(db)
  if (!rows[0]) throw new Error('the database did not say where it would put a table')
  return rows[0]
}

async function appliedIn(db: Db, schema: string, table: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`SELECT name FROM ${sql.id(schema, table)}`.execute(db)
  return rows.map(({ name }) => name)
}

/** Many programs have a table called `migrations`. Ours is recognised by the `families` table beside it. */
function looksOurs(table?: { columns: string[] }, families?: { columns: string[] }): boolean {
  return table?.columns.includes('name') === true && families?.columns.includes('current_hash') === true
}

/** @throws SchemaError, naming what is in the way. */
export function insistOnRoom({ schema, database, strangers }: Installation): void {
  if (strangers.length === 0) return
  throw new SchemaError(
    `the schema ${quote(schema)} of the database ${quote(database)} is not empty and not Claviger’s: it holds ${strangers.join(', ')} of another program. Nothing was changed. Give Claviger a schema of its own: CREATE SCHEMA claviger AUTHORIZATION <role>; ALTER ROLE <role> IN DATABASE ${identifier(database)} SET search_path = claviger`,
  )
}

/** @throws MayNotMigrate, saying what to grant. */
export function insistOnRights({ schema, role, mayCreate, owned }: Installation): void {
  const byOwner = `Run “claviger migrate --grant-to ${role}” with the DATABASE_URL of the owner`
  if (!owned) {
    throw new MayNotMigrate(
      `the tables in the schema ${quote(schema)} belong to another role than ${quote(role)}. ${byOwner}`,
    )
  }
  if (!mayCreate) {
    throw new MayNotMigrate(
      `permission denied for schema ${schema}: the role ${quote(role)} may not create tables there. ${byOwner}, or GRANT CREATE ON SCHEMA ${identifier(schema)} TO ${identifier(role)}`,
    )
  }
}

function noSchema(role: string, path: string): SchemaError {
  return new SchemaError(
    `there is no schema to create tables in: search_path is ‘${path}’, and names none that exists and that the role ${quote(role)} may use. Set it: ALTER ROLE ${identifier(role)} SET search_path = public`,
  )
}

function notOpen(role: string, schema: string): MayNotMigrate {
  return new MayNotMigrate(
    `permission denied for schema ${schema}: the role ${quote(role)} may not use it. Run “claviger migrate --grant-to ${role}” with the DATABASE_URL of its owner`,
  )
}

function notGranted(role: string, schema: string): MayNotMigrate {
  return new MayNotMigrate(
    `the role ${quote(role)} may not read the tables in the schema ${quote(schema)}: run “claviger migrate --grant-to ${role}” with the DATABASE_URL of their owner`,
  )
}

function quote(name: string): string {
  return `“${name}”`
}

/** As SQL that can be pasted. */
function identifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}
