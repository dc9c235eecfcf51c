import type { Clock } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import type { Log } from '../../log.ts'
import { hashToken } from '../../tokens/refresh.ts'
import type { FamilyFacts } from '../queries.ts'
import { dateRotations, type Made } from './rotation-queries.ts'

/**
 * Moves the time of a rotation to the end of what its answer had to wait for. Never rejects.
 * @returns the time that stands.
 */
export type DateAnew = (family: Pick<FamilyFacts, 'id' | 'rotatedAt'>, refreshToken: string) => Promise<Date>

/** What an answer may take, from the rotation on, before the client gets it back. */
export const SLOW_ANSWER_MS = 1000

/**
 * The grace is for the client's troubles, not for ours: a commit that the database was slow to confirm, a queue of signatures.
 * Where one is slow, so are others, and they go together: while one statement is on its way, the next ones wait for each other.
 */
export function createDater({ refreshDb, clock, log }: { refreshDb: Db; clock: Clock; log: Log }): DateAnew {
  type Dated = { at: Date; families: ReadonlySet<string> }
  let waiting: Made[] = []
  let next: Promise<Dated> | undefined
  let last: Promise<unknown> = Promise.resolve()

  const send = async (): Promise<Dated> => {
    const made = waiting
    waiting = []
    next = undefined
    const at = clock()
    try {
      return { at, families: await dateRotations(refreshDb, at, made) }
    } catch (err) {
      // The rotation stands, and its answer is worth more than its date.
      log.warn({ err }, 'rotations whose answers were slow keep the time of their beginning')
      return { at, families: new Set() }
    }
  }

  return async ({ id: family, rotatedAt }, refreshToken) => {
    if (clock().getTime() - rotatedAt.getTime() <= SLOW_ANSWER_MS) return rotatedAt
    waiting.push({ family, currentHash: hashToken(refreshToken) })
    if (!next) {
      next = last.then(send)
      last = next
    }
    const { at, families } = await next
    return families.has(family) ? at : rotatedAt
  }
}
