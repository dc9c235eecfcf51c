import { record } from '../audit/audit.ts'
import type { KeyList } from '../config/secrets.ts'
import { clearFailures } from '../credentials/attempts.ts'
import { forgetCodes } from '../credentials/codes/codes.ts'
import { voidInvitation } from '../credentials/codes/invitations.ts'
import type { Operation } from '../operation.ts'
import { forgetNotices } from '../outbox/mail/notices.ts'
import { append } from '../revocations/append.ts'
import { type EndDeps, endAll } from '../sessions/end.ts'
import { withUser } from './lookup.ts'
import { removeUser } from './queries.ts'

/**
 * Deletes an account with everything that belongs to it, except its events in the audit trail, which holds no e-mail
 * addresses. The address may be registered again.
 * @returns how many sessions ended.
 * @throws Problem not_found.
 */
export async function deleteUser(
  deps: EndDeps & { serverKeys: KeyList },
  operation: Operation,
  idOrEmail: string,
): Promise<number> {
  return await withUser(deps, idOrEmail, async (tx, user) => {
    // The sessions would be deleted with the user anyway, but only the trail can tell later why they ended.
    await append(tx, deps, operation, [{ kind: 'subject', sub: user.id }])
    const ended = await endAll(tx, deps, operation, { userId: user.id, cause: 'user_deleted' })
    // The counter goes first: an attempt holds its counter while it waits for its user's row, so the other order could
    // deadlock.
    await clearFailures(tx, deps.serverKeys, user)
    // Or else an invitation would bring it back, with the roles that it was to have.
    await voidInvitation(tx, user.email)
    await forgetCodes(tx, user.id)
    await forgetNotices(tx, user.id)
    await removeUser(tx, user.id)
    await record(tx, operation, { type: 'user.deleted', outcome: 'success', userId: user.id })
    return ended
  })
}
