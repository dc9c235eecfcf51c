import { isIP } from 'node:net'
import { sql } from 'kysely'
import { deleteBatch } from '../../db/delete-batch.ts'
import { prefixOf } from '../../db/prefix.ts'
import type { Db } from '../../db/schema.ts'

export interface Units {
  policy: string
  windowMs: number
  units: number
  /** Units per window. */
  limit: number
  /** The same where a spray comes from the prefix of the address that is the key. */
  sprayed?: number
  /** Counts by that prefix, and only where a spray comes from it. */
  of?: 'prefix'
}

export interface Window {
  policy: string
  startedAt: Date
  /** Units taken in this window, including those of this statement. May exceed the limit. */
  count: number
  /** The limit in force. */
  limit: number
  /** Until when it is that of a spray; null if there is none. */
  sprayedUntil: Date | null
}

/**
 * Takes units from counters that all replicas share, starting a new window if the last one is over. It is one
 * statement, so that no unit is counted twice or lost, whatever runs at the same moment.
 * @param asked in order: if a counter has nothing left, nothing is taken from those after it.
 * @returns the windows of the counters that were asked; none of those by prefix where there is no spray.
 */
export async function takeUnits(db: Db, now: Date, key: string, asked: Units[]): Promise<Window[]> {
  const steps = asked.map((_, index) => takeStep(now, key, asked, index))
  const windows = asked.map(
    (units, index) =>
      sql`SELECT *, ${limitOf(units)} AS "limit", ${sprayedUntil(units)} AS "sprayedUntil" FROM ${stepName(index)}`,
  )
  const parts = asked.some(dependsOnSpray) ? [findSpray(now, key), ...steps] : steps
  const { rows } = await sql<Window>`WITH ${sql.join(parts)} ${sql.join(windows, sql` UNION ALL `)}`.execute(db)
  return rows
}

const dependsOnSpray = ({ sprayed, of }: Units): boolean => sprayed !== undefined || of === 'prefix'

/** The prefix of an address, and until when its budget is smaller because of a spray, if it is. */
function findSpray(now: Date, key: string) {
  return sql`spray AS (
    SELECT p.prefix, s.shrunk_until AS until FROM (SELECT ${prefixOf(isIP(key) === 0 ? null : key)} AS prefix) AS p
    LEFT JOIN login_sprays AS s ON s.prefix = p.prefix AND s.shrunk_until > ${now})`
}

function limitOf({ limit, sprayed }: Units) {
  if (sprayed === undefined) return sql`${limit}::int`
  return sql`CASE WHEN EXISTS (SELECT FROM spray WHERE until IS NOT NULL) THEN ${sprayed}::int ELSE ${limit}::int END`
}

function sprayedUntil(units: Units) {
  return dependsOnSpray(units) ? sql`(SELECT until FROM spray)` : sql`NULL::timestamptz`
}

const stepName = (index: number) => sql.ref(`taken_${index}`)

/** Takes from one counter if the one before had something left. Counters are always locked in this order. */
function takeStep(now: Date, key: string, asked: Units[], index: number) {
  const { policy, windowMs, units, of } = asked[index] as Units
  const before = asked[index - 1]
  const over = new Date(now.getTime() - windowMs)
  const from = [
    ...(before ? [sql`${stepName(index - 1)} AS before`] : []),
    ...(of === 'prefix' ? [sql`(SELECT prefix FROM spray WHERE until IS NOT NULL) AS source`] : []),
  ]
  const condition = sql`
    ${from.length > 0 ? sql`FROM ${sql.join(from)}` : sql``}
    ${before ? sql`WHERE before.count - ${before.units}::int < ${limitOf(before)}` : sql``}`
  return sql`${stepName(index)} AS (
    INSERT INTO rate_limits AS r (policy, key, window_started_at, count)
    SELECT ${policy}, ${of === 'prefix' ? sql`source.prefix::text` : key}, ${now}::timestamptz, ${units}::int ${condition}
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
