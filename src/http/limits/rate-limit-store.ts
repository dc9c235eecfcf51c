import type { Clock } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import type { Policy } from './policies.ts'
import { takingUnits, type Window } from './queries.ts'

export type Verdict =
  | { allowed: true }
  /** Refused by which policy, and how long until its window ends. */
  | { allowed: false; policy: Policy['name']; remainingMs: number }

/** The units of one window that this process holds. */
interface Lease {
  left: number
  endsAt: number
  /** The shared counter has nothing left in this window, so it need not be asked again. */
  exhausted: boolean
}

/** The most keys remembered. Forgetting one costs only a question to the database, or the units that were left. */
const MAX_KEYS = 10_000

/**
 * Spends one unit of every policy, or none, from counters in PostgreSQL that all replicas share. Units are leased and
 * spent locally, so that a busy client does not cost a round trip per request; unspent units lapse with their window.
 * So the replicas together never allow more than the limit, and may allow a little less. Once a window is exhausted,
 * refusals cost nothing.
 * @param policies in the order in which they are asked: what one refuses does not count for those after it.
 * @returns spend(key), which rejects with the database's error if it cannot be asked.
 */
export function createAllowance(
  { db, clock }: { db: Db; clock: Clock },
  policies: Policy[],
): (key: string) => Promise<Verdict> {
  /** By key, then by policy. */
  const leases = new Map<string, Map<string, Lease>>()
  /** One question per key at a time, so that a burst does not take a lease per request. */
  const asking = new Map<string, Promise<void>>()

  const takeFrom = createTaking()

  const ask = async (key: string): Promise<void> => {
    const now = clock()
    const held = new Map([...(leases.get(key) ?? [])].filter(([, lease]) => isSpendable(lease, now)))
    const wanted = policies.filter(({ name }) => !held.has(name))
    const windows = await takeFrom(wanted)(db, { now, key })
    for (const { name, lease: size, windowMs, of } of wanted) {
      const window = windows.find(({ policy }) => policy === name)
      if (window) held.set(name, leaseOf(window, size, windowMs))
      // It limits nothing at the moment.
      else if (of === 'prefix' && [...held.values()].every(({ left }) => left > 0))
        held.set(name, { left: size, endsAt: now.getTime() + windowMs, exhausted: false })
    }
    // Deleted first, so that the map stays ordered by age.
    leases.delete(key)
    leases.set(key, held)
    if (leases.size > MAX_KEYS) leases.delete(leases.keys().next().value as string)
  }

  return async (key) => {
    for (;;) {
      const now = clock()
      const held = leases.get(key)
      for (const { name } of policies) {
        const lease = held?.get(name)
        const remainingMs = lease ? lease.endsAt - now.getTime() : 0
        if (lease?.exhausted && lease.left === 0 && remainingMs > 0)
          return { allowed: false, policy: name, remainingMs }
      }
      const spendable = policies.map(({ name }) => held?.get(name)).filter((lease) => isSpendable(lease, now))
      if (spendable.length === policies.length) {
        for (const lease of spendable) lease.left--
        return { allowed: true }
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

/** The statement for each selection of policies. */
function createTaking() {
  const made = new Map<string, ReturnType<typeof takingUnits>>()
  return (wanted: readonly Policy[]) => {
    const names = wanted.map(({ name }) => name).join()
    const taking =
      made.get(names) ??
      takingUnits(wanted.map(({ name, lease, ...policy }) => ({ ...policy, policy: name, units: lease })))
    made.set(names, taking)
    return taking
  }
}

function leaseOf({ startedAt, count, limit, sprayedUntil }: Window, size: number, windowMs: number): Lease {
  const left = Math.min(size, Math.max(0, limit - (count - size)))
  const exhausted = left < size
  const endsAt = startedAt.getTime() + windowMs
  // When the spray is over, the limit is another.
  const until = exhausted && sprayedUntil ? sprayedUntil.getTime() : endsAt
  return { left, endsAt: Math.min(endsAt, until), exhausted }
}

function isSpendable(lease: Lease | undefined, now: Date): lease is Lease {
  return lease !== undefined && lease.left > 0 && lease.endsAt > now.getTime()
}
