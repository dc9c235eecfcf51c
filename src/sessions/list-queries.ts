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

/**
 * Sessions that are over, the last to end first. Rows and trail are asked one after the other, because they may lie on different
 * machines. Of the trail as many events as of rows are enough: whatever is among the last of all is among the last of its kind.
 */
export async function selectEnded(db: Db, now: Date, { userId, limit }: Filter): Promise<EndedSession[]> {
  const of = (column: string) => (userId === undefined ? sql`true` : sql`${sql.ref(column)} = ${userId}::uuid`)
  const { rows: kept } = await sql<EndedSession>`
    SELECT f.id, f.user_id AS "userId", f.client_id AS "clientId", f.created_at AS "createdAt", f.user_agent AS "userAgent",
      coalesce(f.ended_at, least(f.expires_at, ${idleEnd})) AS "endedAt",
      coalesce(f.end_cause, CASE WHEN f.expires_at <= ${idleEnd} THEN 'absolute' ELSE 'idle' END) AS cause
    FROM families AS f WHERE NOT ${liveAt(now)} AND ${of('f.user_id')}
    ORDER BY "endedAt" DESC LIMIT ${limit}`.execute(db)
  const { rows: told } = await sql<EndedSession>`
    SELECT a.family_id AS id, a.user_id AS "userId", start.client_id AS "clientId", start.at AS "createdAt",
      start.user_agent AS "userAgent", a.at AS "endedAt", a.reason AS cause
    FROM audit AS a LEFT JOIN LATERAL (
      SELECT client_id, at, user_agent FROM audit
      WHERE family_id = a.family_id AND type = 'login' AND outcome = 'success' ORDER BY at LIMIT 1
    ) AS start ON true
    WHERE a.type = 'session.ended' AND ${of('a.user_id')}
    ORDER BY a.at DESC LIMIT ${limit}`.execute(db)
  const known = new Set(kept.map(({ id }) => id))
  const ended = [...kept, ...told.filter(({ id }) => !known.has(id))]
    .toSorted((a, b) => b.endedAt.getTime() - a.endedAt.getTime() || (a.id < b.id ? 1 : -1))
    .slice(0, limit)
  return await nameOwners(db, ended)
}

/** Adds whose they were, and from where each was ended. */
async function nameOwners(db: Db, ended: readonly EndedSession[]): Promise<EndedSession[]> {
  const { rows: users } = await sql<{ id: string; email: string }>`
    SELECT id, email FROM users WHERE id = ANY(${ended.map(({ userId }) => userId)}::uuid[])`.execute(db)
  const { rows: events } = await sql<{ id: string; address: string | null }>`
    SELECT DISTINCT ON (family_id) family_id AS id, address FROM audit
    WHERE family_id = ANY(${ended.map(({ id }) => id)}::uuid[]) AND type = 'session.ended'
    ORDER BY family_id, at DESC`.execute(db)
  const emails = new Map(users.map(({ id, email }) => [id, email]))
  const addresses = new Map(events.map(({ id, address }) => [id, address]))
  return ended.map((session) => ({
    ...session,
    email: (session.userId && emails.get(session.userId)) ?? null,
    endedFrom: addresses.get(session.id) ?? null,
  }))
}

/** Ids of the sessions that have a row or a sign-in in the trail, the last to begin first. */
export async function selectBegun(db: Db, userId: string, limit: number): Promise<string[]> {
  type Begun = { id: string; at: Date }
  const { rows: kept } = await sql<Begun>`
    SELECT id, created_at AS at FROM families WHERE user_id = ${userId} ORDER BY created_at DESC, id DESC LIMIT ${limit}`.execute(
    db,
  )
  const { rows: told } = await sql<Begun>`
    SELECT family_id AS id, min(at) AS at FROM audit
    WHERE user_id = ${userId} AND type = 'login' AND outcome = 'success' AND family_id IS NOT NULL
    GROUP BY family_id ORDER BY min(at) DESC, family_id DESC LIMIT ${limit}`.execute(db)
  const begun = new Map([...told, ...kept].map(({ id, at }) => [id, at.getTime()]))
  return [...begun]
    .toSorted(([a, at], [b, bt]) => bt - at || (a < b ? 1 : -1))
    .slice(0, limit)
    .map(([id]) => id)
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
