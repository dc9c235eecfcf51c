import pLimit from 'p-limit'
import { Problem, type Reason } from './errors.ts'

interface Bounds {
  /** Pieces of work that run at a time. */
  permits: number
  /** Pieces of work that may wait for a permit. */
  queue: number
  /** In milliseconds. Work that has waited longer is refused when its turn comes, so that the queue behind it moves on. */
  patienceMs?: number
  /** The error for work that is refused; by default `unavailable`, to be retried after a second. */
  refusal?: (reason: Reason) => Problem
}

export interface Semaphore {
  /** Does the work when a permit is free, in order of arrival. @throws the refusal, at once if the queue is full. */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Whether work that came now would be refused. */
  isFull(): boolean
  /** Pieces of work that run or wait. */
  pending(): number
}

/**
 * Runs so many at a time, queues so many more, and refuses the rest at once: an unbounded queue answers everybody too
 * late, a bounded one answers some in time and tells the others to come back.
 */
export function createSemaphore(
  { permits, queue, patienceMs = Number.POSITIVE_INFINITY, refusal = tooBusy }: Bounds,
  now: () => number = () => performance.now(),
): Semaphore {
  const limit = pLimit(permits)
  const pending = () => limit.activeCount + limit.pendingCount
  const isFull = () => pending() >= permits + queue
  return {
    run: async (work) => {
      if (isFull()) throw refusal('too many wait')
      const since = now()
      return await limit(() => {
        if (now() - since > patienceMs) throw refusal('waited too long')
        return work()
      })
    },
    isFull,
    pending,
  }
}

/** Runs the work of each key one at a time, in order of arrival. @throws Problem `unavailable` if too many wait. */
export type KeyedMutex = <T>(key: string, work: () => Promise<T>) => Promise<T>

/** @param most pieces of work that may run or wait, for all keys together. */
export function createKeyedMutex(most: number): KeyedMutex {
  /** The last in line, by key. */
  const last = new Map<string, Promise<unknown>>()
  let inLine = 0

  return async (key, work) => {
    if (inLine >= most) throw tooBusy('too many wait for their turn')
    inLine++
    const before = last.get(key)
    const mine = before ? before.then(work, work) : work()
    last.set(key, mine)
    try {
      return await mine
    } finally {
      inLine--
      if (last.get(key) === mine) last.delete(key)
    }
  }
}

function tooBusy(reason: Reason): Problem {
  return new Problem('unavailable', { reason, retryAfter: 1 })
}
