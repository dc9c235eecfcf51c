import { Problem, type Reason } from './errors.ts'
import { createLimit } from './limit.ts'

/** Does the work when it is its turn. @throws Problem `unavailable` if that did not come in time. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** More than the database has connections for it; few enough that a refresh waits for few of them. */
const AT_ONCE = 8
const LONGEST_QUEUE = 1024
/** As long as anything waits for the database. */
const LONGEST_WAIT_MS = 2000

/**
 * Work that many strangers can order at once, each within their own limit, goes on a few at a time. All of it started together
 * would keep the event loop busy for many milliseconds in each of its rounds, of which a refresh needs several.
 */
export function createTurns(now: () => number = () => performance.now()): InTurn {
  const limit = createLimit(AT_ONCE, LONGEST_QUEUE)
  return async (work) => {
    const since = now()
    const turn = await limit.enter()
    if (!turn) throw tooBusy('too many wait')
    try {
      // Where the database stands still, those behind must not wait for each other's time-outs one after the other.
      if (now() - since > LONGEST_WAIT_MS) throw tooBusy('waited too long')
      return await work()
    } finally {
      turn.leave()
    }
  }
}

function tooBusy(reason: Reason): Problem {
  return new Problem('unavailable', { reason, retryAfter: 1 })
}
