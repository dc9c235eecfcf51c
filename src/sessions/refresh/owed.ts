/**
 * What this process owes to clients that it told to come back, or kept waiting: their next request with the same token is judged
 * as a retry of the time when the first one arrived. Without this, a client that obeys `Retry-After` would run out of its grace
 * while it does so, and be taken for a thief. Held in memory: what makes it necessary is mostly that nothing can be written.
 */
export interface Owed {
  /** Of a token, what is owed to a request that arrives now. */
  find(tokenHash: Buffer, arrivedAt: Date): Debt | undefined
  /** A request that comes back until then counts as a retry of that time. */
  defer(tokenHash: Buffer, debt: Debt): void
  /** Nothing is owed any more for what this debt was for. One that another request has left meanwhile stays. */
  settle(tokenHash: Buffer, debt: Debt): void
}

export interface Debt {
  /** When the first request arrived. */
  since: Date
  until: Date
  /** It has had an answer once: what is left of its grace runs, and nothing adds to it. */
  answered: boolean
}

/** Tokens remembered at most, of some hundred bytes each. Only genuine ones come here. */
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
      // Deleted first, so that the map stays in order of age.
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
