import { elapsed, platform } from './platform.ts'

/** As long as callers wait for an issuer. */
const LONGEST_WAIT_MS = 10_000
/** A free lock is granted sooner. */
const SHORTEST_WAIT_MS = 5

/** @param run learns whether somebody else has just held the lock. */
export type Exclusive = <T>(run: (waited: boolean) => Promise<T>) => Promise<T>

/**
 * Runs one task at a time in all tabs of the origin or, without Web Locks, in this client. A suspended tab may hold the
 * lock for ever, so it is taken away after a while. If that tab was only slow, two requests are under way at once; they
 * share an `Idempotency-Key`, so the second one counts as a retry.
 */
export function createExclusive(name: string): Exclusive {
  let last: Promise<unknown> = Promise.resolve()
  return (run) => {
    const turn = last.then(() => locked(name, run))
    last = turn.catch(() => {})
    return turn
  }
}

async function locked<T>(name: string, run: (waited: boolean) => Promise<T>): Promise<T> {
  const locks = platform.navigator?.locks
  if (!locks) return run(false)
  const asked = elapsed()
  let work: Promise<T> | undefined
  const start = () => (work ??= run(elapsed() - asked > SHORTEST_WAIT_MS))
  const control = new AbortController()
  // At different moments, so that one waiting tab takes the lock away and the others then get it in turn.
  const timer = setTimeout(() => control.abort(), LONGEST_WAIT_MS + Math.random() * 1000)
  await locks
    .request(name, { signal: control.signal }, start)
    .catch(() => work ?? locks.request(name, { steal: true }, start))
    // Rejects if the lock was taken away or is refused; the result of the work does not depend on it.
    .catch(() => {})
  clearTimeout(timer)
  return start()
}
