import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import type { Shards } from '../../db/shards.ts'
import type { Log } from '../../log.ts'
import { hashToken } from '../../tokens/refresh.ts'
import type { FamilyFacts } from '../queries.ts'
import { dateRotations, type Made } from './rotation-queries.ts'

/**
 * Moves the time of a rotation to the moment when its answer is ready. Never rejects.
 * @returns the time that the row has then.
 */
export type DateAnew = (family: Pick<FamilyFacts, 'id' | 'rotatedAt'>, refreshToken: string) => Promise<Date>

/** An answer that takes longer than this after its rotation gives the client that time back. */
export const SLOW_ANSWER_MS = 1000
/** A row is locked while another request of its family is judged, which takes milliseconds. */
const LOOKS = 5
const LOOK_AGAIN_MS = 25

/**
 * The grace is meant for the client’s delays, not for ours, such as a slow commit or a queue of signatures. If one answer
 * is slow, others are too, so they are sent in batches: while one statement is under way, the next batch gathers. A
 * locked row joins a later batch, so that nobody can hold up the others.
 */
export function createDater(deps: { refreshDb: Db; shards: Shards; clock: Clock; log: Log }): DateAnew {
  const { refreshDb, shards, clock, log } = deps
  type Dated = { at: Date; families: ReadonlyMap<string, boolean> }
  let waiting: Made[] = []
  let next: Promise<Dated> | undefined
  let last: Promise<unknown> = Promise.resolve()

  const send = async (): Promise<Dated> => {
    const made = waiting
    waiting = []
    next = undefined
    const at = clock()
    const families = new Map<string, boolean>()
    // A statement of its own for each shard: none locks rows of several.
    for (const part of Map.groupBy(made, ({ family }) => shards.of(family)).values()) {
      try {
        for (const [family, dated] of await dateRotations(refreshDb, at, part)) families.set(family, dated)
      } catch (err) {
        // The rotation has been committed: a correct time is not worth losing its answer for.
        log.warn({ err }, 'rotations whose answers were slow keep the time of their beginning')
      }
    }
    return { at, families }
  }

  return async ({ id: family, rotatedAt }, refreshToken) => {
    if (clock().getTime() - rotatedAt.getTime() <= SLOW_ANSWER_MS) return rotatedAt
    const made = { family, currentHash: hashToken(refreshToken) }
    for (let look = 1; look <= LOOKS; look++) {
      waiting.push(made)
      if (!next) {
        next = last.then(send)
        last = next
      }
      const { at, families } = await next
      const dated = families.get(family)
      if (dated) return at
      // Rotated since, or the statement failed.
      if (dated === undefined) break
      await sleep(LOOK_AGAIN_MS)
    }
    return rotatedAt
  }
}
