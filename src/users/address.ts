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
 * Gives an account another address, which nobody has proved to be its owner's. Sessions go on: they are of the account, and
 * their tokens hold no address.
 * @returns both addresses; the same twice if it had the new one already.
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
      // What strangers have tried on the new address was no attempt on this account. Before the row is changed: an attempt that
      // holds a counter waits for the row of its user, and must not be waited for.
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
