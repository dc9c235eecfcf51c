import { record } from '../audit/audit.ts'
import type { Bell } from '../bell.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { clearFailures } from '../credentials/attempts.ts'
import { isKeptFromOthers, voidAll } from '../credentials/codes/ways-back.ts'
import { violatedConstraint } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import { negotiate } from '../languages.ts'
import type { Operation } from '../operation.ts'
import { askedBy } from '../outbox/mail/asked.ts'
import { enqueue } from '../outbox/outbox.ts'
import { normaliseEmail } from './email.ts'
import { withUser } from './lookup.ts'
import { writeEmail } from './queries.ts'

const KEPT = 'Another account had it until a short while ago, and may take it back for seven days.'

/**
 * Gives an account another e-mail address, unverified, and tells the old one. Sessions go on: they belong to the account,
 * and their tokens hold no address.
 * @returns both addresses; the same one twice if nothing changed.
 * @throws Problem not_found, invalid_email, email_taken.
 */
export async function changeEmail(
  deps: { db: Db; config: Pick<Config, 'mail'>; serverKeys: KeyList; outboxBell: Bell },
  operation: Operation,
  idOrEmail: string,
  address: string,
): Promise<{ before: string; after: string }> {
  const after = normaliseEmail(address)
  return await withUser(deps, idOrEmail, async (tx, user) => {
    const before = user.email
    if (after === before) return { before, after }
    await giveAddress(tx, deps.serverKeys, user.id, { email: after, verified: false, now: operation.now })
    // No mailbox that the account had counts against what an operator decided.
    await voidAll(tx, user.id)
    if (deps.config.mail !== 'off') {
      const told = { template: 'email-changed-by-operator', newEmail: after, asked: askedBy(operation) } as const
      const locale = negotiate(user.locale ?? undefined, undefined)
      await enqueue(tx, deps, operation.now, { kind: 'mail', payload: { to: before, locale, ...told } })
    }
    await record(tx, operation, { type: 'user.email_changed', outcome: 'success', userId: user.id })
    return { before, after }
  })
}

/**
 * Writes another address. The caller has locked the account.
 * @throws Problem email_taken. The transaction is over then.
 */
export async function giveAddress(
  tx: Tx,
  serverKeys: KeyList,
  id: string,
  { email, verified, now }: { email: string; verified: boolean; now: Date },
): Promise<void> {
  // Strangers may have failed to sign in with the new address; that must not count against this account. The counter goes
  // before the row is changed: an attempt holds its counter while it waits for its user's row, so the other order could
  // deadlock.
  await clearFailures(tx, serverKeys, { id, email })
  try {
    await writeEmail(tx, id, email, verified)
  } catch (error) {
    if (violatedConstraint(error) === 'users_email_key') throw new Problem('email_taken', { cause: error })
    throw error
  }
  if (await isKeptFromOthers(tx, now, id, email)) throw new Problem('email_taken', { detail: KEPT })
}
