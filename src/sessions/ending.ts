import type { EndCause } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { Delivery } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { Semaphore } from '../semaphore.ts'
import { type EndDeps, endSession } from './end.ts'
import { findFamily } from './queries.ts'

interface Ending {
  family: string
  cause: EndCause
  /** If stated, how the family's refresh tokens travel: whoever holds one in the wrong place ends nothing. */
  delivery?: Delivery | undefined
  /** If stated, the client that the family was issued to. */
  clientId?: string | undefined
  /** Of the caller. What comes from one network waits in one line. */
  network: string
}

/** Ends a family for whoever presents a token of it. @returns what it may not be ended for; otherwise it has ended. */
export type EndPresented = (
  operation: Operation,
  ending: Ending,
) => Promise<'ended' | 'wrong_client' | 'wrong_delivery'>

type EndingDeps = EndDeps & { clock: Clock; tally: Tally }

/**
 * Merges simultaneous endings of one family. Otherwise they would wait for the same row, each holding a connection, and
 * an attacker who repeats one a thousand times would occupy them all.
 */
export function createEnding(deps: EndingDeps, semaphore: Pick<Semaphore, 'run'>): EndPresented {
  const underWay = new Map<string, ReturnType<EndPresented>>()

  return async (operation, asked) => {
    const key = [asked.family, asked.delivery, asked.clientId].join(' ')
    let ending = underWay.get(key)
    if (!ending) {
      ending = semaphore.run(() => end(deps, operation, asked), asked.network).finally(() => underWay.delete(key))
      underWay.set(key, ending)
    }
    return await ending
  }
}

async function end(
  deps: EndingDeps,
  asked: Operation,
  { family: id, cause, ...expected }: Ending,
): ReturnType<EndPresented> {
  // Read without a lock, which a family that has ended, or may not be ended from here, does not need.
  const family = await findFamily(deps.db, id)
  // The request has waited for its turn, so its time is read again.
  const operation = { ...asked, now: deps.clock() }
  if (!family || family.state.endedAt || family.state.expiresAt <= operation.now) return 'ended'
  const userId = family.subject.id
  const reason = misfitOf(family.state, expected)
  if (reason) {
    const about = { userId, familyId: id, clientId: family.state.clientId }
    await deps.tally.add(operation, { type: 'refresh.refused', outcome: 'failure', reason, ...about })
    return reason
  }
  await endSession(deps, { ...operation, actor: `user:${userId}` }, { id, userId, cause })
  return 'ended'
}

function misfitOf(
  family: { delivery: Delivery; clientId: string },
  { delivery, clientId }: Pick<Ending, 'delivery' | 'clientId'>,
): 'wrong_client' | 'wrong_delivery' | undefined {
  if (delivery !== undefined && family.delivery !== delivery) return 'wrong_delivery'
  return clientId !== undefined && family.clientId !== clientId ? 'wrong_client' : undefined
}
