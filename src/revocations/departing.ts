import type { Tx } from '../db/schema.ts'
import { stateLongestOf } from './queries.ts'

/**
 * To be called before a client is removed, in the same transaction: its revocation may not have a number yet, and servers state only
 * now and then how long the longest token lives.
 */
export async function rememberTokensOf(tx: Tx, now: Date, clientId: string): Promise<void> {
  await stateLongestOf(tx, now, clientId)
}
