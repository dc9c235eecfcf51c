import { sql } from 'kysely'
import { PLACEMENTS, type Placement } from './placement.ts'
import type { Db, Schema, Tx } from './schema.ts'

/** Where a table lies. A table that Citus keeps on the coordinator but plans for is `taken in`: each of its statements is slow. */
export type Place = Placement | 'divided by another key' | 'taken in'

/** Where each of our tables lies. Undefined in a database without the extension Citus. */
export async function readPlaces(db: Db): Promise<Record<keyof Schema, Place> | undefined> {
  const { rows: found } = await sql<{ citus: boolean }>`
    SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS citus`.execute(db)
  if (!found[0]?.citus) return undefined
  const { rows } = await sql<{ table: string; method: string; copied: boolean; key: string | null }>`
    SELECT name AS "table", partmethod AS method, repmodel = 't' AS copied, column_to_column_name(logicalrelid, partkey) AS key
    FROM unnest(${Object.keys(PLACEMENTS)}::text[]) AS name JOIN pg_dist_partition ON logicalrelid = to_regclass(name)`.execute(
    db,
  )
  const known = rows.map(({ table, method, copied, key }): [string, Place] => {
    if (method === 'h') return [table, key === 'id' ? 'family' : 'divided by another key']
    return [table, copied ? 'everywhere' : 'taken in']
  })
  const here = Object.keys(PLACEMENTS).map((table) => [table, 'coordinator'] as const)
  return Object.fromEntries([...here, ...known]) as Record<keyof Schema, Place>
}

/** Whether the tables of this database have been distributed over a Citus cluster. */
export async function isDistributed(db: Db): Promise<boolean> {
  return (await readPlaces(db))?.families === 'family'
}

/**
 * Of our tables on the coordinator, drops the foreign keys to users: with one, Citus would take the table in and plan each of its
 * statements. What belongs to an account is deleted with it by the program.
 */
export async function freeCoordinatorTables(tx: Tx): Promise<void> {
  const ours = Object.entries(PLACEMENTS).flatMap(([table, placement]) => (placement === 'coordinator' ? [table] : []))
  const { rows } = await sql<{ table: string; name: string }>`
    SELECT conrelid::regclass::text AS "table", conname::text AS name FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'users'::regclass
      AND conrelid IN (SELECT to_regclass(name) FROM unnest(${ours}::text[]) AS name)`.execute(tx)
  for (const { table, name } of rows)
    await sql`ALTER TABLE ${sql.raw(table)} DROP CONSTRAINT ${sql.id(name)}`.execute(tx)
}

/**
 * To lock a row of a table that is everywhere, Citus keeps everybody else from locking or writing any row of it until the transaction
 * ends: sign-ins would go one by one. The row in the coordinator's own copy will do, because whoever changes an account changes that
 * copy as well. Citus gives the copies the same name on all machines, with the schema before it unless that is `public`.
 */
export async function lockOneCopyOfUsers(tx: Tx): Promise<void> {
  const { rows } = await sql<{ definition: string }>`
    SELECT regexp_replace(pg_get_functiondef(oid), 'FROM .* WHERE', 'FROM ' || copy.name || ' WHERE') AS definition
    FROM pg_proc, (SELECT shard_name(logicalrelid, shardid) AS name FROM pg_dist_shard
      WHERE logicalrelid = 'users'::regclass) AS copy
    WHERE oid IN ('locked_user(uuid)'::regprocedure, 'locked_user_by_email(text)'::regprocedure)`.execute(tx)
  for (const { definition } of rows) await sql.raw(definition).execute(tx)
}
