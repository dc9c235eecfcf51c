import { randomUUID } from 'node:crypto'
import { record } from '../audit/audit.ts'
import type { InvitationRefusal } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { redeemCode } from '../credentials/codes/codes.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { addUser } from '../users/accounts.ts'
import { broughtBy } from '../users/invite.ts'
import { proveAddress } from '../users/prove-address.ts'
import { type FromMailbox, proveMailbox, whoseCode } from './prove-mailbox.ts'

/**
 * Makes the account of somebody who was invited, with the roles that the operator chose, whatever REGISTRATION says. It
 * signs nobody in.
 * @throws Problem invalid_code; invalid_email, password_*; overloaded; email_taken, if an account was made meanwhile.
 */
export async function acceptInvitation(
  deps: { db: Db; clock: Clock; config: Config; hasher: PasswordHasher; serverKeys: KeyList; tally: Tally },
  asked: Operation,
  { presented, password }: { presented: FromMailbox; password: string },
): Promise<User> {
  const proof = await proveMailbox(deps, 'invitation', presented, password)
  // The hash has waited for its turn, so the time is read again.
  const operation = { ...asked, now: deps.clock() }
  const refuse = async (reason: InvitationRefusal): Promise<never> => {
    const details = whoseCode(deps, presented)
    await deps.tally.add(operation, { type: 'invitation.accepted', outcome: 'failure', reason, details })
    throw new Problem('invalid_code', { reason })
  }
  if (proof.kind === 'refused') return await refuse(proof.reason)

  const { facts, passwordHash } = proof
  const { roles, mailed } = broughtBy(facts.details)
  const outcome = await transact(deps.db, async (tx) => {
    if (!(await redeemCode(tx, facts))) return 'used'
    const account = { id: randomUUID(), email: facts.email, passwordHash, mustVerify: false, roles }
    const user = await addUser(tx, deps.serverKeys, { ...account, createdAt: operation.now })
    if (!user) return 'taken'
    await record(tx, operation, { type: 'invitation.accepted', outcome: 'success', userId: user.id })
    if (mailed) await proveAddress(tx, operation, user)
    return { ...user, emailVerified: mailed }
  })
  if (outcome === 'used') return await refuse(outcome)
  if (outcome === 'taken') throw new Problem('email_taken')
  return outcome
}
