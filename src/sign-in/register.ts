import { randomUUID } from 'node:crypto'
import { record } from '../audit/audit.ts'
import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { addUser } from '../users/accounts.ts'
import { normaliseEmail } from '../users/email.ts'

/**
 * Creates an account, without signing in.
 * @throws Problem registration_closed, invalid_email, password_*, overloaded; email_taken.
 */
export async function register(
  deps: { db: Db; clock: Clock; config: Config; hasher: PasswordHasher; serverKeys: KeyList; tally: Tally },
  asked: Operation,
  input: { email: string; password: string },
): Promise<User> {
  if (deps.config.REGISTRATION !== 'open') throw new Problem('registration_closed')
  const email = normaliseEmail(input.email)
  checkNewPassword(deps.config, email, input.password)
  const passwordHash = await deps.hasher.hash(input.password)
  // The hash has waited for its turn, so the time is read again.
  const operation = { ...asked, now: deps.clock() }
  const user = await transact(deps.db, async (tx) => {
    const added = await addUser(tx, deps.serverKeys, {
      id: randomUUID(),
      email,
      passwordHash,
      roles: [],
      createdAt: operation.now,
    })
    if (!added) return undefined
    await record(tx, operation, { type: 'user.registered', outcome: 'success', userId: added.id })
    return added
  })
  if (user) return user
  await deps.tally.add(operation, { type: 'user.registered', outcome: 'failure', reason: 'email_taken' })
  throw new Problem('email_taken')
}
