import type { Db } from '../db/schema.ts'
import { type EndedSession, type Filter, selectBegun, selectEnded, selectLive } from './list-queries.ts'
import { endsIfUnused } from './live.ts'

export interface LiveSession {
  id: string
  userId: string
  email: string
  clientId: string
  createdAt: Date
  lastUsedAt: Date
  /** When it ends unless it is used. */
  expiresAt: Date
  userAgent: string | null
  address: string | null
  /** Whether its tokens are bound to a key. */
  bound: boolean
}

export interface Page<T> {
  sessions: T[]
  /** Whether there are more than these. */
  more: boolean
}

/** Live sessions of one user or of everybody, last used first. */
export async function listLive(db: Db, now: Date, filter: Filter): Promise<Page<LiveSession>> {
  return await page(filter.limit, async (limit) => {
    const rows = await selectLive(db, now, { ...filter, limit })
    return rows.map(({ rotatedAt, expiresAt, idleSeconds, ...row }) => ({
      ...row,
      lastUsedAt: rotatedAt,
      expiresAt: endsIfUnused({ rotatedAt, expiresAt, idleSeconds }),
    }))
  })
}

/**
 * Sessions of one user or of everybody that are over, the last to end first. Those that expired and have been pruned are
 * missing, because the trail has no event for expiry.
 */
export async function listEnded(db: Db, now: Date, filter: Filter): Promise<Page<EndedSession>> {
  return await page(filter.limit, (limit) => selectEnded(db, now, { ...filter, limit }))
}

/** The ids of all sessions of a user that have left a trace, even if the user was deleted; the last to begin first. */
export async function listBegun(db: Db, userId: string, limit: number): Promise<Page<string>> {
  return await page(limit, (most) => selectBegun(db, userId, most))
}

async function page<T>(limit: number, select: (limit: number) => Promise<T[]>): Promise<Page<T>> {
  const found = await select(limit + 1)
  return { sessions: found.slice(0, limit), more: found.length > limit }
}
