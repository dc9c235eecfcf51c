import { type RawBuilder, sql } from 'kysely'
import type { Db, Schema } from './schema.ts'

interface Batch {
  /** The columns of its primary key. */
  key: readonly string[]
  /** What follows WHERE, an order included. */
  where: RawBuilder<unknown>
  limit: number
}

/**
 * Deletes rows, passing over those that somebody holds: no request waits, and replicas that prune together share the
 * work. They are chosen by a query of their own, because PostgreSQL may run a subquery several times, and each time chooses others.
 */
export async function deleteBatch(db: Db, table: keyof Schema, { key, where, limit }: Batch): Promise<number> {
  const columns = sql.join(key.map((column) => sql.ref(column)))
  const { numAffectedRows } = await sql`
    WITH batch AS MATERIALIZED (
      SELECT ${columns} FROM ${sql.table(table)} WHERE ${where} LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )
    DELETE FROM ${sql.table(table)} WHERE (${columns}) IN (SELECT ${columns} FROM batch)`.execute(db)
  return Number(numAffectedRows ?? 0n)
}
