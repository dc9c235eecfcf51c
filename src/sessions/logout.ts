import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { KeyList } from '../config/secrets.ts'
import type { Db, Delivery } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { Semaphore } from '../semaphore.ts'
import { authenticateToken } from '../tokens/refresh.ts'
import { endSession } from './end.ts'
import { findFamily } from './queries.ts'

/** Ends the family of a refresh token, whatever its generation. Silent when there is nothing to end (RFC 7009 §2.2). */
export type Logout = (operation: Operation, input: { token: string | undefined; delivery: Delivery }) => Promise<void>

type LogoutDeps = { db: Db; clock: Clock; serverKeys: KeyList; tally: Tally }

/**
 * Logouts of one family that come together are one: they would wait for each other's row, each with a connection in its hands,
 * and whoever repeats one a thousand times would hold them all.
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
  // Without its lock: what has ended already, or may not be ended from here, needs none.
  const family = await findFamily(deps.db, id)
  if (!family || family.state.endedAt) return
  // It has waited for its turn.
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
