import { record } from '../audit/audit.ts'
import type { EndCause } from '../audit/events.ts'
import type { Clock } from '../clock.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import { SECOND } from '../durations.ts'
import type { Operation } from '../operation.ts'
import { type AppendDeps, append } from '../revocations/append.ts'
import type { Revocation } from '../revocations/revocation.ts'
import { endFamiliesBefore, endFamiliesOf, endFamily } from './end-queries.ts'
import { lockFamily } from './queries.ts'

interface Ended {
  id: string
  userId: string
}

export interface EndInput {
  userId: string
  cause: EndCause
}

/** Ends one live family: verifiers are told, and the trail. @returns whether there was one to end. */
export async function endOne(
  tx: Tx,
  deps: AppendDeps,
  operation: Operation,
  { id, userId, cause }: EndInput & { id: string },
): Promise<boolean> {
  const ended = await endFamily(tx, id, operation.now, cause)
  if (ended) {
    await append(tx, deps, operation, [revocationOf({ id, userId })])
    await note(tx, operation, cause, [{ id, userId }])
  }
  return ended
}

function revocationOf({ id, userId }: Ended): Revocation {
  return { kind: 'session', sid: id, userId }
}

async function note(tx: Tx, operation: Operation, cause: EndCause, ended: readonly Ended[]): Promise<void> {
  for (const { id, userId } of ended) {
    const event = { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId: id } as const
    await record(tx, operation, event)
  }
}

/** Ends every live family of a user, except one if it is named. @returns how many. */
export async function endAll(
  tx: Tx,
  deps: AppendDeps,
  operation: Operation,
  { userId, cause, except }: EndInput & { except?: string | undefined },
): Promise<number> {
  const ids = await endFamiliesOf(tx, operation.now, { userId, cause, except })
  const ended = ids.map((id) => ({ id, userId }))
  await append(tx, deps, operation, ended.map(revocationOf))
  await note(tx, operation, cause, ended)
  return ended.length
}

export type EndDeps = AppendDeps & { db: Db }

/** The same in a transaction of its own. @returns whether there was one to end. */
export async function endSession(
  deps: EndDeps,
  operation: Operation,
  input: Parameters<typeof endOne>[3],
): Promise<boolean> {
  return await transact(deps.db, (tx) => endOne(tx, deps, operation, input))
}

/** The same in a transaction of its own. @returns how many. */
export async function endSessions(
  deps: EndDeps,
  operation: Operation,
  input: Parameters<typeof endAll>[3],
): Promise<number> {
  return await transact(deps.db, (tx) => endAll(tx, deps, operation, input))
}

const BATCH = 200
const LOWEST_ID = '00000000-0000-0000-0000-000000000000'
/** A token may be that much younger than the rotation it was issued for. */
const ISSUED_WITHIN_MS = 10 * SECOND

/**
 * Ends every live family of all users, one batch per transaction, so that sign-ins and refreshes go on meanwhile. Verifiers are
 * told of everybody at once, before the first batch: afterwards they have to hear only of sessions that were used since.
 * @param input.before spares the families that began later; by default, those that begin after the operation.
 * @returns how many.
 */
export async function endEverybody(
  deps: EndDeps & { clock: Clock },
  operation: Operation,
  { before = operation.now, cause }: { before?: Date | undefined; cause: EndCause },
): Promise<number> {
  const everybody = before >= operation.now
  if (everybody) await transact(deps.db, (tx) => append(tx, deps, operation, [{ kind: 'all' }]))
  const toldUntil = everybody ? new Date(operation.now.getTime() - ISSUED_WITHIN_MS) : undefined
  let total = 0
  for (let after: string | undefined = LOWEST_ID; after !== undefined; ) {
    const step = { ...operation, now: deps.clock() }
    const batch = { before, cause, after, limit: BATCH }
    const { ended, last } = await transact(deps.db, async (tx) => {
      const found = await endFamiliesBefore(tx, step.now, batch)
      const untold = found.ended.filter(
        ({ usedAt }) => toldUntil === undefined || usedAt === null || usedAt > toldUntil,
      )
      await append(tx, deps, step, untold.map(revocationOf))
      await note(tx, step, cause, found.ended)
      return found
    })
    total += ended.length
    after = last
  }
  return total
}

/**
 * Ends a session for its own user, past its idle end too: an access token of it may still live.
 * @returns false if it is not a session of this user that can be ended.
 */
export async function endOwn(
  deps: EndDeps,
  operation: Operation,
  { id, userId }: { id: string; userId: string },
): Promise<boolean> {
  return await transact(deps.db, async (tx) => {
    const family = await lockFamily(tx, id)
    if (family?.subject.id !== userId) return false
    return await endOne(tx, deps, operation, { id, userId, cause: 'session_ended_by_user' })
  })
}
