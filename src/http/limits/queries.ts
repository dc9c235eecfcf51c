import { isIP } from 'node:net'
import { type RawBuilder, sql } from 'kysely'
import { builtOnce } from '../../db/built-once.ts'
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

interface Taking {
  now: Date
  key: string
}

/**
 * Makes the statement that takes units from counters which all replicas share, starting a new window if the last one is over. It is
 * one statement, so that no unit is counted twice or lost, whatever runs at the same moment.
 * @param asked in order: if a counter has nothing left, nothing is taken from those after it.
 * @returns what sends it, for a key, and resolves to the windows of the counters that were asked; none of those by prefix where there
 * is no spray.
 */
export function takingUnits(asked: readonly Units[]): (db: Db, taking: Taking) => Promise<Window[]> {
  return builtOnce<Taking, Window>((parameter) => {
    const [now, key] = [parameter((taking) => taking.now), parameter((taking) => taking.key)]
    const steps = asked.map((units, index) => {
      const over = parameter((taking) => new Date(taking.now.getTime() - units.windowMs))
      return takeStep({ now, key, over }, units, index, asked[index - 1])
    })
    const windows = asked.map(
      (units, index) =>
        sql`SELECT *, ${limitOf(units)} AS "limit", ${sprayedUntil(units)} AS "sprayedUntil" FROM ${stepName(index)}`,
    )
    const address = (taking: Taking) => (isIP(taking.key) === 0 ? null : taking.key)
    const parts = asked.some(dependsOnSpray) ? [findSpray(now, parameter(address)), ...steps] : steps
    return sql`WITH ${sql.join(parts)} ${sql.join(windows, sql` UNION ALL `)}`
  })
}

const dependsOnSpray = ({ sprayed, of }: Units): boolean => sprayed !== undefined || of === 'prefix'

/** The prefix of an address, and until when its budget is smaller because of a spray, if it is. */
function findSpray(now: RawBuilder<Date>, address: RawBuilder<string | null>) {
  return sql`spray AS (
    SELECT p.prefix, s.shrunk_until AS until FROM (SELECT ${prefixOf(address)} AS prefix) AS p
    LEFT JOIN login_sprays AS s ON s.prefix = p.prefix AND s.shrunk_until > ${now})`
}

const whole = (count: number) => sql`${sql.lit(count)}::int`

function limitOf({ limit, sprayed }: Units) {
  if (sprayed === undefined) return whole(limit)
  return sql`CASE WHEN EXISTS (SELECT FROM spray WHERE until IS NOT NULL) THEN ${whole(sprayed)} ELSE ${whole(limit)} END`
}

function sprayedUntil(units: Units) {
  return dependsOnSpray(units) ? sql`(SELECT until FROM spray)` : sql`NULL::timestamptz`
}

const stepName = (index: number) => sql.ref(`taken_${index}`)

/** Takes from one counter if the one before had something left. Counters are always locked in this order. */
function takeStep(
  { now, key, over }: { now: RawBuilder<Date>; key: RawBuilder<string>; over: RawBuilder<Date> },
  { policy, units, of }: Units,
  index: number,
  before: Units | undefined,
) {
  const from = [
    ...(before ? [sql`${stepName(index - 1)} AS before`] : []),
    ...(of === 'prefix' ? [sql`(SELECT prefix FROM spray WHERE until IS NOT NULL) AS source`] : []),
  ]
  const condition = sql`
    ${from.length > 0 ? sql`FROM ${sql.join(from)}` : sql``}
    ${before ? sql`WHERE before.count - ${whole(before.units)} < ${limitOf(before)}` : sql``}`
  return sql`${stepName(index)} AS (
    INSERT INTO rate_limits AS r (policy, key, window_started_at, count)
    SELECT ${sql.lit(policy)}, ${of === 'prefix' ? sql`source.prefix::text` : sql`${key}::text`}, ${now}::timestamptz,
      ${whole(units)} ${condition}
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
