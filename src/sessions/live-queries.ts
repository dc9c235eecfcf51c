import { sql } from 'kysely'

// The rule of live.ts in SQL, for a family `f`.

/** When a family ends for lack of use. */
export const idleEnd = sql<Date>`(f.rotated_at + f.idle_seconds * interval '1 second')`

export const liveAt = (now: Date) =>
  sql<boolean>`(f.ended_at IS NULL AND f.expires_at > ${now} AND ${idleEnd} > ${now})`
