import { record } from '../audit/audit.ts'
import { voidCodes } from '../credentials/codes/codes.ts'
import type { Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import type { Operation } from '../operation.ts'
import { writeEmailVerified } from './queries.ts'

/**
 * Whether nobody has shown that the account is theirs: somebody registered it, who may not be the owner of the address, and
 * had to prove it before anything else.
 */
export function isUnproved({ mustVerify, emailVerified }: Pick<User, 'mustVerify' | 'emailVerified'>): boolean {
  return mustVerify && !emailVerified
}

/**
 * Notes that somebody who acts reads the mailbox of the account, and voids what could prove it again: such a link sets the
 * password. The caller has locked the row.
 */
export async function proveAddress(tx: Tx, operation: Operation, user: User): Promise<void> {
  await voidCodes(tx, user.id, ['verify_email'])
  if (user.emailVerified) return
  await writeEmailVerified(tx, user.id)
  await record(tx, operation, { type: 'email.verified', outcome: 'success', userId: user.id })
}
