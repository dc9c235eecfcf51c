import { record } from '../audit/audit.ts'
import type { EndCause } from '../audit/events.ts'
import type { Clock } from '../clock.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { endFamiliesBefore, endFamiliesOf, endFamily } from './end-queries.ts'
import { lifeAt } from './live.ts'
import { lockFamily } from './queries.ts'

export interface EndInput {
  userId: string
  cause: EndCause
}

/** Ends one live family, with its audit event. @returns whether there was one to end. */
export async function endOne(
  tx: Tx,
  operation: Operation,
  { id, userId, cause }: EndInput & { id: string },
): Promise<boolean> {
  const ended = await endFamily(tx, id, operation.now, cause)
  if (ended)
    await record(tx, operation, { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId: id })
  return ended
}

/** Ends every live family of a user, except one if it is named. @returns how many. */
export async function endAll(
  tx: Tx,
  operation: Operation,
  { userId, cause, except }: EndInput & { except?: string | undefined },
): Promise<number> {
  const ended = await endFamiliesOf(tx, operation.now, { userId, cause, except })
  for (const familyId of ended) {
    await record(tx, operation, { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId })
  }
  return ended.length
}

/** The same in a transaction of its own. @returns whether there was one to end. */
export async function endSession(
  deps: { db: Db },
  operation: Operation,
  input: Parameters<typeof endOne>[2],
): Promise<boolean> {
  return await transact(deps.db, (tx) => endOne(tx, operation, input))
}

/** The same in a transaction of its own. @returns how many. */
export async function endSessions(
  deps: { db: Db },
  operation: Operation,
  input: Parameters<typeof endAll>[2],
): Promise<number> {
  return await transact(deps.db, (tx) => endAll(tx, operation, input))
}

const BATCH = 200
const LOWEST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Ends every live family of all users, one batch per transaction, so that sign-ins and refreshes go on meanwhile.
 * @param input.before spares the families that began later; by default, those that begin after the operation.
 * @returns how many.
 */
export async function endEverybody(
  deps: { db: Db; clock: Clock },
  operation: Operation,
  { before = operation.now, cause }: { before?: Date | undefined; cause: EndCause },
): Promise<number> {
  let total = 0
  for (let after: string | undefined = LOWEST_ID; after !== undefined; ) {
    const step = { ...operation, now: deps.clock() }
    const batch = { before, cause, after, limit: BATCH }
    const { ended, last } = await transact(deps.db, async (tx) => {
      const found = await endFamiliesBefore(tx, step.now, batch)
      for (const { id, userId } of found.ended) {
        const event = { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId: id } as const
        await record(tx, step, event)
      }
      return found
    })
    total += ended.length
    after = last
  }
  return total
}

/** Ends a session for its own user. @returns false if it is not a live session of this user. */
export async function endOwn(
  deps: { db: Db },
  operation: Operation,
  { id, userId }: { id: string; userId: string },
): Promise<boolean> {
  return await transact(deps.db, async (tx) => {
    const family = await lockFamily(tx, id)
    if (!family || family.subject.id !== userId || lifeAt(family.state, operation.now) !== 'live') return false
    return await endOne(tx, operation, { id, userId, cause: 'session_ended_by_user' })
  })
}
