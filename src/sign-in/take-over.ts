import { record } from '../audit/audit.ts'
import { replacePassword } from '../credentials/passwords/reset.ts'
import type { Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import type { Operation } from '../operation.ts'
import { type NoticeDeps, tellOwner } from '../outbox/mail/notices.ts'
import { type AppendDeps, append } from '../revocations/append.ts'
import { endAll } from '../sessions/end.ts'

/**
 * Gives an account that a stranger may have registered to whoever reads its mailbox: their password holds, and every session
 * ends. The caller has locked the account.
 */
export async function takeOver(
  deps: NoticeDeps & AppendDeps,
  tx: Tx,
  operation: Operation,
  { user, passwordHash }: { user: User; passwordHash: string },
): Promise<void> {
  await replacePassword(tx, deps.serverKeys, user, passwordHash)
  await append(tx, deps, operation, [{ kind: 'credential', userId: user.id }])
  await endAll(tx, deps, operation, { userId: user.id, cause: 'password_changed' })
  await record(tx, operation, { type: 'password.changed', outcome: 'success', userId: user.id })
  await tellOwner(tx, deps, operation, { userId: user.id, cause: 'password-changed' })
}
