import { sql } from 'kysely'

// The rule of live.ts in SQL, for a family `f`. The hot path has a copy of its own, because its statement is one
// constant text (refresh/rotation-queries.ts); test/sessions/live.test.ts holds all of them to each other.

/** When a family ends for lack of use. */
export const idleEnd = sql<Date>`(f.rotated_at + f.idle_seconds * interval '1 second')`

export const liveAt = (now: Date) =>
  sql<boolean>`(f.ended_at IS NULL AND f.expires_at > ${now} AND ${idleEnd} > ${now})`

/**
 * What can be ended: what is live, and what only its idle end has made expired. A refresh that arrived before that may
 * still wait for the row, and would bring the session back after its user was told that all of them had ended.
 */
export const endableAt = (now: Date) => sql<boolean>`(f.ended_at IS NULL AND f.expires_at > ${now})`
