import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

/** Deletes a batch of families whose absolute end came before `before`. @returns how many. */
export async function deleteExpired(db: Db, before: Date, batch: number): Promise<number> {
  const old = await db
    .selectFrom('families')
    .select('id')
    .where('expires_at', '<', before)
    .orderBy('expires_at')
    .limit(batch)
    .execute()
  // In two statements: rows of several shards cannot be locked together. Nobody holds one that is over for more than a moment.
  const { numAffectedRows } = await sql`
    DELETE FROM families WHERE id = ANY(${old.map(({ id }) => id)}::uuid[]) AND expires_at < ${before}`.execute(db)
  return Number(numAffectedRows ?? 0n)
}

/** Counts the families whose absolute end came before `before`, up to `most`. */
export async function countExpired(db: Db, before: Date, most: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM (SELECT 1 FROM families WHERE expires_at < ${before} LIMIT ${most}) AS expired`.execute(
    db,
  )
  return rows[0]?.count ?? 0
}
