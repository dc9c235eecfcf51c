import { randomUUID } from 'node:crypto'
import { record } from '../audit/audit.ts'
import type { InvitationRefusal } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import { redeemCode } from '../credentials/codes/codes.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import type { NoticeDeps } from '../outbox/mail/notices.ts'
import type { AppendDeps } from '../revocations/append.ts'
import { addUser } from '../users/accounts.ts'
import { broughtBy } from '../users/invite.ts'
import { lockAccountOf } from '../users/lookup.ts'
import { isUnproved, proveAddress } from '../users/prove-address.ts'
import { replaceRoles } from '../users/rights.ts'
import { type FromMailbox, proveMailbox, whoseCode } from './prove-mailbox.ts'
import { takeOver } from './take-over.ts'

type InvitationDeps = NoticeDeps & AppendDeps & { db: Db; clock: Clock; hasher: PasswordHasher; tally: Tally }

/**
 * Makes the account of somebody who was invited, with the roles that the operator chose, whatever REGISTRATION says. It
 * signs nobody in.
 * @throws Problem invalid_code; invalid_email, password_*; overloaded; email_taken, if an account was made meanwhile.
 */
export async function acceptInvitation(
  deps: InvitationDeps,
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
    const added = await addUser(tx, deps.serverKeys, { ...account, createdAt: operation.now })
    const user = added ?? (mailed ? await takeUnproved(deps, tx, operation, account) : undefined)
    if (!user) return 'taken'
    await record(tx, operation, { type: 'invitation.accepted', outcome: 'success', userId: user.id })
    if (mailed) await proveAddress(tx, operation, user)
    return { ...user, emailVerified: mailed }
  })
  if (outcome === 'used') return await refuse(outcome)
  if (outcome === 'taken') throw new Problem('email_taken')
  return outcome
}

/**
 * Takes over an account that somebody registered with the address and has not proved to be theirs: a stranger could else keep
 * out whoever is invited.
 */
async function takeUnproved(
  deps: InvitationDeps,
  tx: Tx,
  operation: Operation,
  { email, passwordHash, roles }: { email: string; passwordHash: string; roles: string[] },
): Promise<User | undefined> {
  const user = await lockAccountOf(tx, email)
  if (!user || !isUnproved(user) || user.disabledAt) return undefined
  await replaceRoles(tx, operation, user, roles)
  await takeOver(deps, tx, operation, { user, passwordHash })
  return { ...user, roles }
}
