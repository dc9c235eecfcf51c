import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

/** A session that is over. Of one whose row was pruned, the trail is all there is. */
export interface EndedSession {
  id: string
  userId: string | null
  /** Null where the user is gone. */
  email: string | null
  clientId: string | null
  createdAt: Date | null
  /** When it ran out, if nobody ended it. */
  endedAt: Date
  /** An EndCause, `idle` or `absolute`. */
  cause: string
  /** Where the request came from that ended it. */
  endedFrom: string | null
  /** Of the sign-in. */
  userAgent: string | null
}

/** Of one user, or of all; ended last first. Those that ran out and were pruned since left no end to be listed. */
export async function endedSessions(
  db: Db,
  now: Date,
  filter: { userId: string | undefined; limit: number },
): Promise<EndedSession[]> {
  const of = (column: string) =>
    filter.userId === undefined ? sql`true` : sql`${sql.ref(column)} = ${filter.userId}::uuid`
  const idleEnd = sql`f.rotated_at + f.idle_seconds * interval '1 second'`
  const { rows } = await sql<EndedSession>`
    WITH kept AS (
      SELECT f.id, f.user_id, f.client_id, f.created_at, f.user_agent,
        coalesce(f.ended_at, least(f.expires_at, ${idleEnd})) AS at,
        coalesce(f.end_cause, CASE WHEN f.expires_at <= ${idleEnd} THEN 'absolute' ELSE 'idle' END) AS cause
      FROM families AS f
      WHERE (f.ended_at IS NOT NULL OR f.expires_at <= ${now} OR ${idleEnd} <= ${now}) AND ${of('f.user_id')}
      ORDER BY at DESC LIMIT ${filter.limit}
    ), pruned AS (
      SELECT a.family_id, a.user_id, start.client_id, start.at AS created_at, start.user_agent, a.at, a.reason
      FROM audit AS a LEFT JOIN LATERAL (
        SELECT client_id, at, user_agent FROM audit
        WHERE family_id = a.family_id AND type = 'login' AND outcome = 'success' ORDER BY at LIMIT 1
      ) AS start ON true
      WHERE a.type = 'session.ended' AND NOT EXISTS (SELECT FROM families WHERE id = a.family_id) AND ${of('a.user_id')}
      ORDER BY a.at DESC LIMIT ${filter.limit}
    ), ended AS (SELECT * FROM kept UNION ALL SELECT * FROM pruned ORDER BY at DESC, id DESC LIMIT ${filter.limit})
    SELECT ended.id, ended.user_id AS "userId", u.email, ended.client_id AS "clientId", ended.created_at AS "createdAt",
      ended.at AS "endedAt", ended.cause, event.address AS "endedFrom", ended.user_agent AS "userAgent"
    FROM ended LEFT JOIN users AS u ON u.id = ended.user_id LEFT JOIN LATERAL (
      SELECT address FROM audit WHERE family_id = ended.id AND type = 'session.ended' ORDER BY at DESC LIMIT 1
    ) AS event ON true
    ORDER BY ended.at DESC, ended.id DESC`.execute(db)
  return rows
}

/**
 * Every session of a user that there is a trace of, also where the user is gone: those that have a row, and sign-ins in the
 * trail. Begun last first.
 */
export async function sessionsOf(db: Db, userId: string, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM (
      SELECT id, created_at AS at FROM families WHERE user_id = ${userId}
      UNION ALL
      SELECT family_id, at FROM audit
      WHERE user_id = ${userId} AND type = 'login' AND outcome = 'success' AND family_id IS NOT NULL
    ) AS begun GROUP BY id ORDER BY min(at) DESC, id DESC LIMIT ${limit}`.execute(db)
  return rows.map(({ id }) => id)
}
