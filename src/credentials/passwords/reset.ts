import type { KeyList } from '../../config/secrets.ts'
import type { Tx } from '../../db/schema.ts'
import type { User } from '../../db/user.ts'
import { clearFailures } from '../attempts.ts'
import { enablePassword, writePasswordHash } from './queries.ts'

/** Gives an account another password and forgets the failures with the old one. The caller has locked the row. */
export async function resetPassword(tx: Tx, serverKeys: KeyList, user: User, passwordHash: string): Promise<void> {
  await writePasswordHash(tx, user.id, passwordHash)
  await forgive(tx, serverKeys, user)
}

/**
 * Undoes what failed attempts did to an account: the back-off and, after a hundred of them, the disabling of its
 * password. The caller has locked the row.
 * @returns whether there was anything to undo.
 */
export async function forgive(tx: Tx, serverKeys: KeyList, user: User): Promise<boolean> {
  const hadFailures = await clearFailures(tx, serverKeys, user)
  if (user.passwordDisabledAt) await enablePassword(tx, user.id)
  return hadFailures || user.passwordDisabledAt !== null
}
