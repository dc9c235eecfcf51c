import type { Tally } from '../audit/tally.ts'
import { forgive } from '../credentials/passwords/reset.ts'
import { transact } from '../db/errors.ts'
import type { Operation } from '../operation.ts'
import type { NoticeDeps } from '../outbox/mail/notices.ts'
import type { AppendDeps } from '../revocations/append.ts'
import { passwordHashOf } from '../users/lookup.ts'
import { proveAddress } from '../users/prove-address.ts'
import { type FromMailbox, proveMailbox, redeemFor, refuseMailbox } from './prove-mailbox.ts'
import { takeOver } from './take-over.ts'

type VerifyDeps = Parameters<typeof proveMailbox>[0] & NoticeDeps & AppendDeps & { tally: Tally }

/**
 * Notes that an address is read by whoever states this password, without signing in. A stranger may have registered the
 * account and wait for the owner of the address to bring it to life. So the password that is stated here becomes the only
 * one: if the account has another, that one is replaced and every session ends, and the stranger has nothing.
 * @throws Problem invalid_code; invalid_email, password_*, overloaded.
 */
export async function verifyEmail(
  deps: VerifyDeps,
  asked: Operation,
  input: { presented: FromMailbox; password: string },
): Promise<void> {
  const { presented, password } = input
  const proof = await proveMailbox(deps, 'verify_email', presented, password)
  if (proof.kind === 'refused') return await refuseMailbox(deps, asked, 'email.verified', { presented, ...proof })
  // Compared only once the code was found right: before, anybody could try out passwords here, past the back-off.
  const stored = await passwordHashOf(deps.db, proof.facts.userId)
  const isSame = stored !== null && (await deps.hasher.verify(stored, password))
  const operation = { ...asked, now: deps.clock() }
  const verdict = await transact(deps.db, async (tx) => {
    const redeemed = await redeemFor(tx, proof.facts)
    if (redeemed.kind === 'refused') return redeemed
    const { user } = redeemed
    await proveAddress(tx, operation, user)
    // What was written since it was compared is some other password.
    if (isSame && user.passwordHash === stored) await forgive(tx, deps.serverKeys, user)
    else await takeOver(deps, tx, operation, { user, passwordHash: proof.passwordHash })
    return redeemed
  })
  if (verdict.kind === 'refused')
    await refuseMailbox(deps, operation, 'email.verified', { presented, reason: verdict.reason })
}
