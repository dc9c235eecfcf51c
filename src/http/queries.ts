import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

export interface Window {
  startedAt: Date
  /** Units taken in this window, those of this statement included; may exceed the limit. */
  count: number
}

/**
 * Takes units from the counter that all replicas share, and starts a new window if the last one is over. One statement:
 * whatever runs at the same moment, no unit is counted twice and none is lost.
 */
export async function takeUnits(
  db: Db,
  now: Date,
  input: { policy: string; key: string; windowMs: number; units: number },
): Promise<Window> {
  const { policy, key, windowMs, units } = input
  const over = new Date(now.getTime() - windowMs)
  const { rows } = await sql<{ window_started_at: Date; count: number }>`
    INSERT INTO rate_limits AS r (policy, key, window_started_at, count)
    VALUES (${policy}, ${key}, ${now}, ${units})
    ON CONFLICT (policy, key) DO UPDATE SET
      count = excluded.count + CASE WHEN r.window_started_at > ${over} THEN r.count ELSE 0 END,
      window_started_at = CASE WHEN r.window_started_at > ${over} THEN r.window_started_at ELSE excluded.window_started_at END
    RETURNING window_started_at, count`.execute(db)
  const [row] = rows
  if (!row) throw new Error('an upsert returned no row')
  return { startedAt: row.window_started_at, count: row.count }
}

/** Deletes up to `batch` windows that began before then; rows that somebody is counting in are left for the next time. */
export async function deleteStaleWindows(db: Db, before: Date, batch: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM rate_limits WHERE (policy, key) IN (
      SELECT policy, key FROM rate_limits WHERE window_started_at < ${before}
      LIMIT ${batch} FOR UPDATE SKIP LOCKED
    )`.execute(db)
  return Number(numAffectedRows ?? 0)
}
