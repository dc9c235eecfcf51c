import type { Clock } from '../clock.ts'
import type { Db } from '../db/schema.ts'
import { takeUnits } from './queries.ts'

export interface Policy {
  /** Names the counter in the database, and the label of the metric. */
  name: string
  /** Requests per window and key. */
  limit: number
  windowMs: number
  /** Units taken from the shared counter at a time, at least 1. */
  lease: number
}

export interface Verdict {
  allowed: boolean
  /** Until the window ends. */
  remainingMs: number
}

/** What this process holds of one key's window. */
interface Lease {
  left: number
  endsAt: number
  /** The shared counter has nothing left in this window: no need to ask again. */
  exhausted: boolean
}

/** Keys remembered at most. Forgetting one only costs a question to the database, or the units that were left. */
const MAX_KEYS = 10_000

/**
 * Spends from a counter in PostgreSQL that all replicas share. Units are taken in leases and spent locally, so that a busy
 * client does not cost a round trip per request; units that are not spent lapse with their window. Replicas together
 * therefore never allow more than the limit, and may allow a little less. Once a window is exhausted, refusals cost nothing.
 * @returns spend(key): rejects with the database's error if it could not be asked.
 */
export function createAllowance(
  { db, clock }: { db: Db; clock: Clock },
  policy: Policy,
): (key: string) => Promise<Verdict> {
  const { name, limit, windowMs, lease: size } = policy
  const leases = new Map<string, Lease>()
  /** One question per key at a time: a burst must not take a lease per request. */
  const asking = new Map<string, Promise<void>>()

  const ask = async (key: string): Promise<void> => {
    const { startedAt, count } = await takeUnits(db, clock(), { policy: name, key, windowMs, units: size })
    const granted = Math.min(size, Math.max(0, limit - (count - size)))
    // Deleted first, so that the map stays in order of age.
    leases.delete(key)
    leases.set(key, { left: granted, endsAt: startedAt.getTime() + windowMs, exhausted: granted < size })
    if (leases.size > MAX_KEYS) leases.delete(leases.keys().next().value as string)
  }

  return async (key) => {
    for (;;) {
      const now = clock().getTime()
      const lease = leases.get(key)
      if (lease && lease.endsAt > now) {
        const remainingMs = lease.endsAt - now
        if (lease.left > 0) {
          lease.left--
          return { allowed: true, remainingMs }
        }
        if (lease.exhausted) return { allowed: false, remainingMs }
      }
      let question = asking.get(key)
      if (!question) {
        question = ask(key).finally(() => asking.delete(key))
        asking.set(key, question)
      }
      await question
    }
  }
}
