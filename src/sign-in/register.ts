import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { record } from '../audit/audit.ts'
import type { Tally } from '../audit/tally.ts'
import type { Bell } from '../bell.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Locale } from '../languages.ts'
import type { Operation } from '../operation.ts'
import { addUser } from '../users/accounts.ts'
import { normaliseEmail } from '../users/email.ts'
import { requestMailIn } from './request-mail.ts'

/** Longer than an account takes to be written, unless the database is in trouble. */
const WRITTEN_WITHIN_MS = 50

/**
 * Creates an account, without signing in. Where addresses have to be verified, the answer is the same if the address has an
 * account already, and comes after the same time.
 * @returns undefined in that case: the owner of the address gets a mail.
 * @throws Problem registration_closed, invalid_email, password_*, overloaded; email_taken.
 */
export async function register(
  deps: {
    db: Db
    clock: Clock
    config: Config
    hasher: PasswordHasher
    serverKeys: KeyList
    tally: Tally
    outboxBell: Bell
  },
  asked: Operation,
  input: { email: string; password: string; locale: Locale },
): Promise<User | undefined> {
  const { config, serverKeys } = deps
  if (config.REGISTRATION !== 'open') throw new Problem('registration_closed')
  const email = normaliseEmail(input.email)
  checkNewPassword(config, email, input.password)
  const passwordHash = await deps.hasher.hash(input.password)
  // The hash has waited for its turn, so the time is read again.
  const operation = { ...asked, now: deps.clock() }
  const mustVerify = config.EMAIL_VERIFICATION === 'required'
  // To write an account takes longer than to find that there is one. A caller who could tell the two apart by the time of the
  // answer would learn who has an account.
  const answerTime = mustVerify ? sleep(WRITTEN_WITHIN_MS) : undefined
  const user = await transact(deps.db, async (tx) => {
    const added = await addRegistered(tx, serverKeys, operation, { email, passwordHash, mustVerify })
    if (mustVerify) await requestMailIn(tx, deps, operation, { cause: 'registered', email, locale: input.locale })
    return added
  })
  if (!user) await deps.tally.add(operation, { type: 'user.registered', outcome: 'failure', reason: 'email_taken' })
  await answerTime
  if (mustVerify) return undefined
  if (!user) throw new Problem('email_taken')
  return user
}

/** @returns undefined if the address has an account. */
async function addRegistered(
  tx: Tx,
  serverKeys: KeyList,
  operation: Operation,
  { email, passwordHash, mustVerify }: Pick<User, 'email' | 'mustVerify'> & { passwordHash: string },
): Promise<User | undefined> {
  const user = { id: randomUUID(), email, passwordHash, mustVerify, roles: [], createdAt: operation.now }
  const added = await addUser(tx, serverKeys, user)
  if (added) await record(tx, operation, { type: 'user.registered', outcome: 'success', userId: added.id })
  return added
}
