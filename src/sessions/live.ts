/** What determines whether a family is live. live-queries.ts has the same rule in SQL. */
export interface Lifetime {
  endedAt: Date | null
  /** The absolute end, fixed at sign-in. */
  expiresAt: Date
  /** When it was last used. */
  rotatedAt: Date
  idleSeconds: number
}

/**
 * A family is live until somebody ends it or its absolute or idle end comes.
 * @param arrivedAt when the request that uses it arrived: the time that it has waited in the server does not count as
 * idle.
 */
export function lifeAt(family: Lifetime, now: Date, arrivedAt = now): 'live' | 'ended' | 'expired' {
  if (family.endedAt) return 'ended'
  return now >= family.expiresAt || arrivedAt >= endsIfUnused(family) ? 'expired' : 'live'
}

/** When the family ends unless it is used: its idle or its absolute end, whichever comes first. */
export function endsIfUnused({ expiresAt, rotatedAt, idleSeconds }: Omit<Lifetime, 'endedAt'>): Date {
  return new Date(Math.min(expiresAt.getTime(), rotatedAt.getTime() + idleSeconds * 1000))
}
