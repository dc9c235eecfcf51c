import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { KeyList } from '../config/secrets.ts'
import type { Db, Delivery } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { Semaphore } from '../semaphore.ts'
import { authenticateToken } from '../tokens/refresh.ts'
import { endSession } from './end.ts'
import { findFamily } from './queries.ts'

/** Ends the family of a refresh token of any generation. Succeeds if there is nothing to end (RFC 7009 §2.2). */
export type Logout = (operation: Operation, input: { token: string | undefined; delivery: Delivery }) => Promise<void>

type LogoutDeps = { db: Db; clock: Clock; serverKeys: KeyList; tally: Tally }

/**
 * Merges simultaneous logouts of one family. Otherwise they would wait for the same row, each holding a connection, and
 * an attacker who repeats one a thousand times would occupy them all.
 */
export function createLogout(deps: LogoutDeps, semaphore: Pick<Semaphore, 'run'>): Logout {
  const underWay = new Map<string, Promise<void>>()

  return async (operation, { token: text, delivery }) => {
    const token = text === undefined ? undefined : authenticateToken(deps.serverKeys, text)
    if (!token) return
    const key = `${token.family} ${delivery}`
    let ending = underWay.get(key)
    if (!ending) {
      ending = semaphore.run(() => end(deps, operation, token.family, delivery)).finally(() => underWay.delete(key))
      underWay.set(key, ending)
    }
    await ending
  }
}

async function end(deps: LogoutDeps, asked: Operation, id: string, delivery: Delivery): Promise<void> {
  // Read without a lock, which a family that has ended, or may not be ended from here, does not need.
  const family = await findFamily(deps.db, id)
  if (!family || family.state.endedAt) return
  // The request has waited for its turn, so its time is read again.
  const operation = { ...asked, now: deps.clock() }
  const userId = family.subject.id
  if (family.state.delivery !== delivery) {
    const about = { userId, familyId: id, clientId: family.state.clientId }
    const event = { type: 'refresh.refused', outcome: 'failure', reason: 'wrong_delivery', ...about } as const
    await deps.tally.add(operation, event)
    return
  }
  await endSession(deps, { ...operation, actor: `user:${userId}` }, { id, userId, cause: 'logout' })
}
