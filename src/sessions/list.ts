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
  /** If it is not used before. */
  expiresAt: Date
  userAgent: string | null
  address: string | null
}

export interface Page<T> {
  sessions: T[]
  /** Whether there are others behind these. */
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
 * Sessions of one user or of everybody that are over, ended last first. Those that ran out and were pruned since left no end to
 * be listed.
 */
export async function listEnded(db: Db, now: Date, filter: Filter): Promise<Page<EndedSession>> {
  return await page(filter.limit, (limit) => selectEnded(db, now, { ...filter, limit }))
}

/** The ids of all sessions of a user that there is a trace of, also where the user is gone; begun last first. */
export async function listBegun(db: Db, userId: string, limit: number): Promise<Page<string>> {
  return await page(limit, (most) => selectBegun(db, userId, most))
}

async function page<T>(limit: number, select: (limit: number) => Promise<T[]>): Promise<Page<T>> {
  const found = await select(limit + 1)
  return { sessions: found.slice(0, limit), more: found.length > limit }
}
