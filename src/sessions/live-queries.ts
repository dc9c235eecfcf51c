import { type RawBuilder, sql } from 'kysely'

// The rule of live.ts in SQL, for a family `f`. The hot path has a copy of its own, because its statement is one
// constant text (refresh/rotation-queries.ts); test/sessions/live.test.ts holds all of them to each other.

/** When a family ends for lack of use. */
export const idleEnd = sql<Date>`(f.rotated_at + f.idle_seconds * interval '1 second')`

export const liveAt = (now: Date | RawBuilder<Date>) =>
  sql<boolean>`(f.ended_at IS NULL AND f.expires_at > ${now} AND ${idleEnd} > ${now})`

/**
 * Families that can be ended: live ones, and those past only their idle end. A refresh that arrived before that may
 * still be waiting for the row, and would revive the session after its user was told that all sessions had ended.
 */
export const endableAt = (now: Date) => sql<boolean>`(f.ended_at IS NULL AND f.expires_at > ${now})`
