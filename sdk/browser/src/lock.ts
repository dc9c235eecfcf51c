import { elapsed, platform } from './platform.ts'

/** As long as a caller is patient with an issuer. */
const LONGEST_WAIT_MS = 10_000
/** A lock that is free comes sooner. */
const SHORTEST_WAIT_MS = 5

/** @param run is told whether somebody else has just had the lock. */
export type Exclusive = <T>(run: (waited: boolean) => Promise<T>) => Promise<T>

/**
 * One at a time in all tabs of the origin; where the platform has no Web Locks, one at a time in this client. A tab that is
 * suspended may keep the lock for ever, so it is taken away after a while, and everybody behind gets it in turn. Should the
 * tab only have been slow, two requests are out at once: with the `Idempotency-Key` that they share, one is a retry.
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
  // Not all in the same moment: behind the first who takes it, the others need not.
  const timer = setTimeout(() => control.abort(), LONGEST_WAIT_MS + Math.random() * 1000)
  await locks
    .request(name, { signal: control.signal }, start)
    .catch(() => work ?? locks.request(name, { steal: true }, start))
    // Where the lock was taken from here, or is refused, the work itself says what becomes of it.
    .catch(() => {})
  clearTimeout(timer)
  return start()
}
