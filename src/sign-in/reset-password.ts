import { record } from '../audit/audit.ts'
import type { Tally } from '../audit/tally.ts'
import { replacePassword } from '../credentials/passwords/reset.ts'
import { transact } from '../db/errors.ts'
import type { Operation } from '../operation.ts'
import { type NoticeDeps, tellOwner } from '../outbox/mail/notices.ts'
import { type AppendDeps, append } from '../revocations/append.ts'
import { endAll } from '../sessions/end.ts'
import { proveAddress } from '../users/prove-address.ts'
import { type FromMailbox, proveMailbox, redeemFor, refuseMailbox } from './prove-mailbox.ts'

/**
 * Sets another password for whoever reads the mailbox of the account, without signing in. All sessions end, because a thief
 * may have one, and what failed attempts did to the account is forgiven.
 * @throws Problem invalid_code; invalid_email, password_*, overloaded.
 */
export async function resetPassword(
  deps: Parameters<typeof proveMailbox>[0] & NoticeDeps & AppendDeps & { tally: Tally },
  asked: Operation,
  input: { presented: FromMailbox; newPassword: string },
): Promise<void> {
  const { presented, newPassword } = input
  const proof = await proveMailbox(deps, 'reset_password', presented, newPassword)
  if (proof.kind === 'refused') return await refuseMailbox(deps, asked, 'password.reset', { presented, ...proof })
  // The hash has waited for its turn, so the time is read again.
  const operation = { ...asked, now: deps.clock() }
  const redeemed = await transact(deps.db, async (tx) => {
    const verdict = await redeemFor(tx, proof.facts)
    if (verdict.kind === 'refused') return verdict
    const { user } = verdict
    await replacePassword(tx, deps.serverKeys, user, proof.passwordHash)
    await proveAddress(tx, operation, user)
    await append(tx, deps, operation, [{ kind: 'credential', userId: user.id }])
    await endAll(tx, deps, operation, { userId: user.id, cause: 'password_reset' })
    await record(tx, operation, { type: 'password.reset', outcome: 'success', userId: user.id })
    await tellOwner(tx, deps, operation, { userId: user.id, cause: 'password-reset' })
    return verdict
  })
  if (redeemed.kind === 'refused')
    await refuseMailbox(deps, operation, 'password.reset', { presented, reason: redeemed.reason })
}
