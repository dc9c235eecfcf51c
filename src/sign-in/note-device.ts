import { record } from '../audit/audit.ts'
import type { Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import type { Operation } from '../operation.ts'
import { type NoticeDeps, tellOwner } from '../outbox/mail/notices.ts'
import { noteFirstSignIn } from '../users/first-sign-in.ts'

/**
 * Tells the owner of an account that somebody has signed in on a device that is not known: a thief of the password would.
 * Not at the first sign-in ever, where no device can be known. The caller has locked the user.
 */
export async function noteDevice(
  tx: Tx,
  deps: NoticeDeps,
  operation: Operation,
  { user, isKnown, ...session }: { user: User; isKnown: boolean; familyId: string; clientId: string },
): Promise<void> {
  if (user.signedInAt === null) return await noteFirstSignIn(tx, operation, user.id)
  if (isKnown || !(await tellOwner(tx, deps, operation, { userId: user.id, cause: 'new-device' }))) return
  const about = { userId: user.id, ...session }
  await record(
    tx,
    { ...operation, actor: `user:${user.id}` },
    { type: 'login.new_device', outcome: 'success', ...about },
  )
}
