import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import { idleEnd, liveAt } from './live-queries.ts'

/** Whose sessions to list, or everybody's, and how many at most. */
export interface Filter {
  userId: string | undefined
  limit: number
}

/** Live sessions, last used first. */
export async function selectLive(db: Db, now: Date, { userId, limit }: Filter) {
  return await db
    .selectFrom('families as f')
    .innerJoin('users as u', 'u.id', 'f.user_id')
    .where(liveAt(now))
    .$if(userId !== undefined, (qb) => qb.where('f.user_id', '=', userId as string))
    .select(['f.id', 'f.user_id as userId', 'u.email', 'f.client_id as clientId', 'f.created_at as createdAt'])
    .select(['f.rotated_at as rotatedAt', 'f.expires_at as expiresAt', 'f.idle_seconds as idleSeconds'])
    .select(['f.user_agent as userAgent', 'f.address', sql<boolean>`f.dpop_jkt IS NOT NULL`.as('bound')])
    .orderBy('f.rotated_at', 'desc')
    .orderBy('f.id', 'desc')
    .limit(limit)
    .execute()
}

/** A session that is over. If its row was pruned, what is known comes from the audit trail. */
export interface EndedSession {
  id: string
  userId: string | null
  /** Null if the user was deleted. */
  email: string | null
  clientId: string | null
  createdAt: Date | null
  /** When it was ended, or expired. */
  endedAt: Date
  /** An EndCause, `idle` or `absolute`. */
  cause: string
  /** The address from which it was ended. */
  endedFrom: string | null
  /** The user agent of the sign-in. */
  userAgent: string | null
}

/** Sessions that are over, the last to end first. */
export async function selectEnded(db: Db, now: Date, { userId, limit }: Filter): Promise<EndedSession[]> {
  const of = (column: string) => (userId === undefined ? sql`true` : sql`${sql.ref(column)} = ${userId}::uuid`)
  const { rows } = await sql<EndedSession>`
    WITH kept AS (
      SELECT f.id, f.user_id, f.client_id, f.created_at, f.user_agent,
        coalesce(f.ended_at, least(f.expires_at, ${idleEnd})) AS at,
        coalesce(f.end_cause, CASE WHEN f.expires_at <= ${idleEnd} THEN 'absolute' ELSE 'idle' END) AS cause
      FROM families AS f WHERE NOT ${liveAt(now)} AND ${of('f.user_id')}
      ORDER BY at DESC LIMIT ${limit}
    ), pruned AS (
      SELECT a.family_id, a.user_id, start.client_id, start.at AS created_at, start.user_agent, a.at, a.reason
      FROM audit AS a LEFT JOIN LATERAL (
        SELECT client_id, at, user_agent FROM audit
        WHERE family_id = a.family_id AND type = 'login' AND outcome = 'success' ORDER BY at LIMIT 1
      ) AS start ON true
      WHERE a.type = 'session.ended' AND NOT EXISTS (SELECT FROM families WHERE id = a.family_id) AND ${of('a.user_id')}
      ORDER BY a.at DESC LIMIT ${limit}
    ), ended AS (SELECT * FROM kept UNION ALL SELECT * FROM pruned ORDER BY at DESC, id DESC LIMIT ${limit})
    SELECT ended.id, ended.user_id AS "userId", u.email, ended.client_id AS "clientId", ended.created_at AS "createdAt",
      ended.at AS "endedAt", ended.cause, event.address AS "endedFrom", ended.user_agent AS "userAgent"
    FROM ended LEFT JOIN users AS u ON u.id = ended.user_id LEFT JOIN LATERAL (
      SELECT address FROM audit WHERE family_id = ended.id AND type = 'session.ended' ORDER BY at DESC LIMIT 1
    ) AS event ON true
    ORDER BY ended.at DESC, ended.id DESC`.execute(db)
  return rows
}

/** Ids of the sessions that have a row or a sign-in in the trail, the last to begin first. */
export async function selectBegun(db: Db, userId: string, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM (
      SELECT id, created_at AS at FROM families WHERE user_id = ${userId}
      UNION ALL
      SELECT family_id, at FROM audit
      WHERE user_id = ${userId} AND type = 'login' AND outcome = 'success' AND family_id IS NOT NULL
    ) AS begun GROUP BY id ORDER BY min(at) DESC, id DESC LIMIT ${limit}`.execute(db)
  return rows.map(({ id }) => id)
}

export type FamilyRecord = NonNullable<Awaited<ReturnType<typeof findRecord>>>

/** The life of a family as its row tells it, whether or not it has ended. */
export async function findRecord(db: Db, id: string) {
  return await db
    .selectFrom('families')
    .where('id', '=', id)
    .select(['user_id as userId', 'created_at as createdAt', 'rotated_at as rotatedAt', 'expires_at as expiresAt'])
    .select(['idle_seconds as idleSeconds', 'ended_at as endedAt', 'end_cause as endCause', 'dpop_jkt as dpopJkt'])
    .executeTakeFirst()
}
