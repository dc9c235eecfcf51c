import type { Tx } from '../../db/schema.ts'
import { voidCodes } from './codes.ts'
import { addressesWithWayBack, deleteAllButEarlierWaysBack, deleteCodesElsewhere, usersWithWayBack } from './queries.ts'

/*
 * Whoever reads the mailbox of an address that an account had may take the account back for a week. After several changes
 * there are several such addresses, and a thief may have one of them: the earlier one counts, because the owner had the
 * account before the thief did.
 */

/** Whether the account had this address a short while ago, and its mailbox may take it back. */
export async function hasWayBack(tx: Tx, now: Date, userId: string, email: string): Promise<boolean> {
  return (await usersWithWayBack(tx, now, email)).includes(userId)
}

/**
 * Whether an address is kept for another account, which may take it back. A thief who moved the account away could else
 * register the address, and the owner could not return to it. Asked after the address was written: whoever wrote it has
 * then waited for the transaction that left it.
 */
export async function isKeptFromOthers(tx: Tx, now: Date, userId: string, email: string): Promise<boolean> {
  return (await usersWithWayBack(tx, now, email)).some((id) => id !== userId)
}

/** Those of many addresses that are kept, for accounts that are yet to be made. */
export async function keptForSomebody(tx: Tx, now: Date, emails: readonly string[]): Promise<string[]> {
  return await addressesWithWayBack(tx, now, emails)
}

/**
 * Voids what was sent to a user, once a way back has been taken: the ways back of later changes too, but not those of
 * earlier ones. The caller has locked the user.
 */
export async function voidSince(tx: Tx, userId: string, wayBack: { createdAt: Date }): Promise<void> {
  await deleteAllButEarlierWaysBack(tx, userId, wayBack.createdAt)
}

/** Voids what was sent to a user, every way back included. The caller has locked the user. */
export async function voidAll(tx: Tx, userId: string): Promise<void> {
  await voidCodes(tx, userId, ['verify_email', 'reset_password', 'change_email', 'undo_email_change'])
}

/** Voids the link that another address was sent to confirm itself. The caller has locked the user. */
export async function voidOtherChange(tx: Tx, userId: string, email: string): Promise<void> {
  await deleteCodesElsewhere(tx, { userId, purpose: 'change_email', email })
}
