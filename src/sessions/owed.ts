/**
 * What this process owes to clients that it told to come back, or kept waiting: their next request with the same token counts
 * as having arrived when the first one did. Without this, a client that obeys `Retry-After` would run out of its grace
 * while it does so, and be taken for a thief. The grace of anybody else's copy grows no longer by it than our own trouble
 * lasts. Held in memory: the outages that make it necessary are those in which nothing can be written.
 */
export interface Owed {
  /** When a request with this token counts as having arrived. */
  arrival(tokenHash: Buffer, arrivedAt: Date): Date
  /** A request that comes back until then counts as having arrived at `arrivedAt`. */
  defer(tokenHash: Buffer, arrivedAt: Date, until: Date): void
  /** It has its answer. */
  settle(tokenHash: Buffer): void
}

/** Tokens remembered at most; only genuine ones come here, so nobody can push others out with garbage. */
const MOST = 20_000

export function createOwed(): Owed {
  const deferred = new Map<string, { arrivedAt: Date; until: Date }>()
  return {
    arrival: (tokenHash, arrivedAt) => {
      const entry = deferred.get(tokenHash.toString('base64'))
      return entry && arrivedAt <= entry.until && entry.arrivedAt < arrivedAt ? entry.arrivedAt : arrivedAt
    },
    defer: (tokenHash, arrivedAt, until) => {
      const key = tokenHash.toString('base64')
      // Deleted first, so that the map stays in order of age.
      deferred.delete(key)
      deferred.set(key, { arrivedAt, until })
      if (deferred.size > MOST) deferred.delete(deferred.keys().next().value as string)
    },
    settle: (tokenHash) => {
      deferred.delete(tokenHash.toString('base64'))
    },
  }
}
