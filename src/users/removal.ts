import { record } from '../audit/audit.ts'
import type { KeyList } from '../config/secrets.ts'
import { clearFailures } from '../credentials/attempts.ts'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { endAll } from '../sessions/end.ts'
import { withUser } from './lookup.ts'
import { removeUser } from './queries.ts'

/**
 * Deletes an account and everything that was kept with it. What the audit trail says of it stays, under its id: the trail has
 * no e-mail addresses. The address may be registered anew.
 * @returns how many sessions ended.
 * @throws Problem not_found.
 */
export async function deleteUser(
  deps: { db: Db; serverKeys: KeyList },
  operation: Operation,
  idOrEmail: string,
): Promise<number> {
  return await withUser(deps, idOrEmail, async (tx, user) => {
    // Ended, not only deleted with the row: the trail is all that is left to say why.
    const ended = await endAll(tx, operation, { userId: user.id, cause: 'user_deleted' })
    // Before the row: an attempt that holds a counter waits for the row of its user, and must not be waited for.
    await clearFailures(tx, deps.serverKeys, user)
    await removeUser(tx, user.id)
    await record(tx, operation, { type: 'user.deleted', outcome: 'success', userId: user.id })
    return ended
  })
}
