/** What of a family says whether it is live. live-queries.ts says the same in SQL. */
export interface Lifetime {
  endedAt: Date | null
  /** The absolute end, fixed at sign-in. */
  expiresAt: Date
  /** When it was last used. */
  rotatedAt: Date
  idleSeconds: number
}

/**
 * Nobody has ended a live family, and neither its absolute nor its idle end has come.
 * @param arrivedAt of the request that uses it: what passed since was our own time, and does not count as idle.
 */
export function lifeAt(family: Lifetime, now: Date, arrivedAt = now): 'live' | 'ended' | 'expired' {
  if (family.endedAt) return 'ended'
  return now >= family.expiresAt || arrivedAt >= endsIfUnused(family) ? 'expired' : 'live'
}

/** When the family ends if nothing uses it: idle or absolute, whichever comes first. */
export function endsIfUnused({ expiresAt, rotatedAt, idleSeconds }: Omit<Lifetime, 'endedAt'>): Date {
  return new Date(Math.min(expiresAt.getTime(), rotatedAt.getTime() + idleSeconds * 1000))
}
