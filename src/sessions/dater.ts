import type { Deps } from '../deps.ts'
import { dateRotations, type Made } from './rotation-queries.ts'

/** Moves the time of a rotation to the end of what its answer had to wait for. Resolves when that is done; never rejects. */
export type DateAnew = (made: Made, rotatedAt: Date) => Promise<void>

/** An answer that takes longer, from the rotation on, takes from the grace of the client that gets it. */
const SLOW_ANSWER_MS = 1000

/**
 * The grace is for the client's troubles, not for ours: a commit that the database was slow to confirm, a queue of signatures.
 * Where one is slow, so are others, and they go together: while one statement is on its way, the next ones wait for each other.
 */
export function createDater({ refreshDb, clock, log }: Pick<Deps, 'refreshDb' | 'clock' | 'log'>): DateAnew {
  let waiting: Made[] = []
  let next: Promise<void> | undefined
  let last: Promise<void> = Promise.resolve()

  const send = async (took: number): Promise<void> => {
    const made = waiting
    waiting = []
    next = undefined
    try {
      // Moving it takes a moment too, probably as long as the rotation took.
      await dateRotations(refreshDb, new Date(clock().getTime() + took), made)
    } catch (err) {
      // The rotation stands, and its answer is worth more than its date.
      log.warn({ err }, 'rotations whose answers were slow keep the time of their beginning')
    }
  }

  return async (made, rotatedAt) => {
    const took = clock().getTime() - rotatedAt.getTime()
    if (took <= SLOW_ANSWER_MS) return
    waiting.push(made)
    next ??= last = last.then(() => send(took))
    await next
  }
}
