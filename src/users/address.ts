import { record } from '../audit/audit.ts'
import type { KeyList } from '../config/secrets.ts'
import { clearFailures } from '../credentials/attempts.ts'
import { violatedConstraint } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { normaliseEmail } from './email.ts'
import { withUser } from './lookup.ts'
import { writeEmail } from './queries.ts'

/**
 * Gives an account another e-mail address, unverified. Sessions go on: they belong to the account, and their tokens
 * hold no address.
 * @returns both addresses; the same one twice if nothing changed.
 * @throws Problem not_found, invalid_email, email_taken.
 */
export async function changeEmail(
  deps: { db: Db; serverKeys: KeyList },
  operation: Operation,
  idOrEmail: string,
  address: string,
): Promise<{ before: string; after: string }> {
  const after = normaliseEmail(address)
  try {
    return await withUser(deps, idOrEmail, async (tx, user) => {
      const before = user.email
      if (after === before) return { before, after }
      // Strangers may have failed to sign in with the new address; that must not count against this account. The
      // counter goes before the row is changed: an attempt holds its counter while it waits for its user's row, so the
      // other order could deadlock.
      await clearFailures(tx, deps.serverKeys, { id: user.id, email: after })
      await writeEmail(tx, user.id, after)
      await record(tx, operation, { type: 'user.email_changed', outcome: 'success', userId: user.id })
      return { before, after }
    })
  } catch (error) {
    if (violatedConstraint(error) === 'users_email_key') throw new Problem('email_taken', { cause: error })
    throw error
  }
}
