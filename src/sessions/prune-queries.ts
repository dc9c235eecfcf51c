import { sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db } from '../db/schema.ts'

/** Deletes a batch of families whose absolute end came before `before`. @returns how many. */
export async function deleteExpired(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`expires_at < ${before} ORDER BY expires_at`
  return await deleteBatch(db, 'families', { key: ['id'], where, limit: batch })
}

/** Counts the families whose absolute end came before `before`, up to `most`. */
export async function countExpired(db: Db, before: Date, most: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM (SELECT FROM families WHERE expires_at < ${before} LIMIT ${most}) AS expired`.execute(
    db,
  )
  return rows[0]?.count ?? 0
}
