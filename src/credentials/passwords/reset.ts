import type { KeyList } from '../../config/secrets.ts'
import type { Tx } from '../../db/schema.ts'
import type { User } from '../../db/user.ts'
import { clearFailures } from '../attempts.ts'
import { voidCodes } from '../codes/codes.ts'
import { disablePassword, enablePassword, writePasswordHash } from './queries.ts'

/**
 * Gives an account another password, forgets the failures with the old one and voids what it could have asked for. The
 * caller has locked the row.
 */
export async function replacePassword(tx: Tx, serverKeys: KeyList, user: User, passwordHash: string): Promise<void> {
  await writePasswordHash(tx, user.id, passwordHash)
  await forgive(tx, serverKeys, user)
  await voidByPassword(tx, user.id)
}

/**
 * Voids what a password that is changed must not leave behind: another way to set it, and an address to which somebody who
 * knew the old one wanted to move the account. The way back from such a move stays: it is the owner's, and a thief changes
 * the password too. The caller has locked the user.
 */
export async function voidByPassword(tx: Tx, userId: string): Promise<void> {
  await voidCodes(tx, userId, ['reset_password', 'change_email'])
}

/** Refuses the password, the right one too, until it is reset. Sessions go on. The caller has locked the row. */
export async function refusePassword(tx: Tx, user: User, now: Date): Promise<void> {
  if (user.passwordHash !== null) await disablePassword(tx, user.id, now)
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
