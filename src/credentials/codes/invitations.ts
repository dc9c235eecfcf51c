import type { Db, Tx } from '../../db/schema.ts'
import { type CodeFacts, deleteInvitation, selectInvitations } from './queries.ts'

/** The live codes of invitations, the newest first. */
export async function listInvitationCodes(db: Db, now: Date, limit: number): Promise<CodeFacts[]> {
  return await selectInvitations(db, now, limit)
}

/** @returns whether the address had an invitation. */
export async function voidInvitation(tx: Tx, email: string): Promise<boolean> {
  return await deleteInvitation(tx, email)
}
