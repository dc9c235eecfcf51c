import { elapsed, platform } from './platform.ts'

/** Longer than a request may take. */
const LONGEST_WAIT_MS = 30_000
/** A lock that is free comes sooner. */
const SHORTEST_WAIT_MS = 5

/** @param run is told whether somebody else has just had the lock. */
export type Exclusive = <T>(run: (waited: boolean) => Promise<T>) => Promise<T>

/**
 * One at a time in all tabs of the origin; where the platform has no Web Locks, one at a time in this client. A tab that is
 * suspended may keep the lock for ever, so nobody waits for ever: without the lock the shared `Idempotency-Key` still makes a
 * second request a retry.
 */
export function createExclusive(name: string): Exclusive {
  let last: Promise<unknown> = Promise.resolve()
  return async (run) => {
    const turn = last.then(() => locked(name, run))
    last = turn.catch(() => {})
    return turn
  }
}

async function locked<T>(name: string, run: (waited: boolean) => Promise<T>): Promise<T> {
  const locks = platform.navigator?.locks
  if (!locks) return run(false)
  const control = new AbortController()
  const timer = setTimeout(() => control.abort(), LONGEST_WAIT_MS)
  const asked = elapsed()
  let started = false
  try {
    return await locks.request(name, { signal: control.signal }, () => {
      started = true
      clearTimeout(timer)
      return run(elapsed() - asked > SHORTEST_WAIT_MS)
    })
  } catch (error) {
    if (started) throw error
    clearTimeout(timer)
    return run(true)
  }
}
