import { sql } from 'kysely'
import { deleteBatch } from '../../db/delete-batch.ts'
import type { Db } from '../../db/schema.ts'

export interface Units {
  policy: string
  windowMs: number
  units: number
  /** Units per window. */
  limit: number
}

export interface Window {
  policy: string
  startedAt: Date
  /** Units taken in this window, including those of this statement. May exceed the limit. */
  count: number
}

/**
 * Takes units from counters that all replicas share, starting a new window if the last one is over. It is one
 * statement, so that no unit is counted twice or lost, whatever runs at the same moment.
 * @param asked in order: if a counter has nothing left, nothing is taken from those after it.
 * @returns the windows of the counters that were asked.
 */
export async function takeUnits(db: Db, now: Date, key: string, asked: Units[]): Promise<Window[]> {
  const steps = asked.map((_, index) => takeStep(now, key, asked, index))
  const windows = asked.map((_, index) => sql`SELECT * FROM ${stepName(index)}`)
  const { rows } = await sql<Window>`WITH ${sql.join(steps)} ${sql.join(windows, sql` UNION ALL `)}`.execute(db)
  return rows
}

const stepName = (index: number) => sql.ref(`taken_${index}`)

/** Takes from one counter if the one before had something left. Counters are always locked in this order. */
function takeStep(now: Date, key: string, asked: Units[], index: number) {
  const { policy, windowMs, units } = asked[index] as Units
  const before = asked[index - 1]
  const over = new Date(now.getTime() - windowMs)
  const condition = before
    ? sql`FROM ${stepName(index - 1)} AS before WHERE before.count - ${before.units}::int < ${before.limit}::int`
    : sql``
  return sql`${stepName(index)} AS (
    INSERT INTO rate_limits AS r (policy, key, window_started_at, count)
    SELECT ${policy}, ${key}, ${now}::timestamptz, ${units}::int ${condition}
    ON CONFLICT (policy, key) DO UPDATE SET
      count = excluded.count + CASE WHEN r.window_started_at > ${over} THEN r.count ELSE 0 END,
      window_started_at = CASE WHEN r.window_started_at > ${over} THEN r.window_started_at ELSE excluded.window_started_at END
    RETURNING policy, window_started_at AS "startedAt", count)`
}

/** Deletes a batch of windows that began before `before`. @returns how many. */
export async function deleteStaleWindows(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`window_started_at < ${before}`
  return await deleteBatch(db, 'rate_limits', { key: ['policy', 'key'], where, limit: batch })
}
