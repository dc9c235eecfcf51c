import { type Actor, record } from '../audit/audit.ts'
import type { EndCause } from '../audit/events.ts'
import type { Clock } from '../clock.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { RequestFacts } from '../facts.ts'
import { endFamiliesBefore, endFamiliesOf, endFamily } from './end-queries.ts'
import { lifeAt } from './live.ts'
import { lockFamily } from './queries.ts'

export interface EndInput {
  userId: string
  cause: EndCause
  actor: Actor
  facts: RequestFacts
}

/** Ends one live family, with its audit event. @returns whether there was one to end. */
export async function endOne(
  tx: Tx,
  now: Date,
  { id, userId, cause, actor, facts }: EndInput & { id: string },
): Promise<boolean> {
  const ended = await endFamily(tx, id, now, cause)
  if (ended)
    await record(
      tx,
      now,
      actor,
      { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId: id },
      facts,
    )
  return ended
}

/** Ends every live family of a user but the one excepted. @returns how many. */
export async function endAll(
  tx: Tx,
  now: Date,
  { userId, cause, actor, facts, except }: EndInput & { except?: string | undefined },
): Promise<number> {
  const ended = await endFamiliesOf(tx, userId, now, cause, except)
  for (const familyId of ended) {
    await record(tx, now, actor, { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId }, facts)
  }
  return ended.length
}

/** The same in a transaction of its own. @returns whether there was one to end. */
export async function endSession(
  deps: { db: Db; clock: Clock },
  input: Parameters<typeof endOne>[2],
): Promise<boolean> {
  return await transact(deps.db, (tx) => endOne(tx, deps.clock(), input))
}

/** The same in a transaction of its own. @returns how many. */
export async function endSessions(
  deps: { db: Db; clock: Clock },
  input: Parameters<typeof endAll>[2],
): Promise<number> {
  return await transact(deps.db, (tx) => endAll(tx, deps.clock(), input))
}

const BATCH = 200
const LOWEST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Ends every live family of everybody that began until now, or until a moment, a batch to a transaction: sign-ins and
 * refreshes go on meanwhile.
 * @returns how many.
 */
export async function endEverybody(
  deps: { db: Db; clock: Clock },
  { before = deps.clock(), cause, actor, facts }: Omit<EndInput, 'userId'> & { before?: Date | undefined },
): Promise<number> {
  let total = 0
  for (let after: string | undefined = LOWEST_ID; after !== undefined; ) {
    const now = deps.clock()
    const batch = { before, cause, after, limit: BATCH }
    const { ended, last } = await transact(deps.db, async (tx) => {
      const found = await endFamiliesBefore(tx, now, batch)
      for (const { id, userId } of found.ended) {
        const event = { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId: id } as const
        await record(tx, now, actor, event, facts)
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
  deps: { clock: Clock } & { db: Db },
  userId: string,
  sessionId: string,
  facts: RequestFacts,
): Promise<boolean> {
  const now = deps.clock()
  return await transact(deps.db, async (tx) => {
    const family = await lockFamily(tx, sessionId)
    if (!family || family.subject.id !== userId || lifeAt(family.state, now) !== 'live') return false
    return await endOne(tx, now, { id: sessionId, userId, cause: 'session_ended_by_user', actor: 'user', facts })
  })
}
