import type { Problem, Reason } from '../../errors.ts'

/**
 * What this process owes to clients that it told to come back, or kept waiting: the next request with the same token is
 * judged as if it had arrived with the first one. Otherwise a client that obeys `Retry-After` would exceed its grace by
 * waiting, and be taken for a thief. Kept in memory, because it is mostly needed when the database cannot be written to.
 */
export interface Owed {
  /** What is owed to a request with this token that arrived at `arrivedAt`. */
  find(tokenHash: Buffer, arrivedAt: Date): Debt | undefined
  /** A request that comes back before `until` is judged as if it had arrived at `since`. */
  defer(tokenHash: Buffer, debt: Debt): void
  /** Cancels a debt, unless another request has replaced it in the meantime. */
  settle(tokenHash: Buffer, debt: Debt): void
}

export interface Debt {
  /** When the first request arrived. */
  since: Date
  until: Date
  /** The client has been answered once: the rest of its grace runs out and is not extended again. */
  answered: boolean
}

/** The most tokens remembered, at some hundred bytes each. Only authentic tokens get here. */
const MOST = 100_000

export function createOwed(): Owed {
  const debts = new Map<string, Debt>()
  const keyOf = (tokenHash: Buffer): string => tokenHash.toString('base64')
  return {
    find: (tokenHash, arrivedAt) => {
      const debt = debts.get(keyOf(tokenHash))
      return debt && arrivedAt <= debt.until && debt.since < arrivedAt ? debt : undefined
    },
    defer: (tokenHash, debt) => {
      const key = keyOf(tokenHash)
      // Deleted first, so that the map stays ordered by age.
      debts.delete(key)
      debts.set(key, debt)
      if (debts.size > MOST) debts.delete(debts.keys().next().value as string)
    },
    settle: (tokenHash, debt) => {
      const key = keyOf(tokenHash)
      if (debts.get(key) === debt) debts.delete(key)
    },
  }
}

/** Reasons of a 429 that refuses a rotation. The token is and stays the current one, so nothing is owed. */
export const ROTATION_REFUSED: ReadonlySet<Reason | undefined> = new Set(['refresh_per_minute', 'family limit'])

/** Whether nothing is owed after an error. */
export function isDecided(problem: Problem | undefined): boolean {
  if (!problem) return false
  return ROTATION_REFUSED.has(problem.reason) || (problem.status < 500 && problem.status !== 429)
}
