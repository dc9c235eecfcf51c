import { record } from '../audit/audit.ts'
import { withDisabledPassword } from '../credentials/attempts.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import type { Operation } from '../operation.ts'
import { listAfter } from './queries.ts'

interface ExportOutcome {
  accounts: number
  /** Accounts with a password that is left out although hashes were asked for. */
  withheld: number
}

const BATCH = 500

/**
 * Writes all accounts, the oldest first, in lines that `importUsers` takes. They are read in one snapshot: an account that is
 * deleted meanwhile cannot cut the list off, and none stands in it twice.
 * @param write may throw, which ends the export.
 */
export async function exportUsers(
  { db }: { db: Db },
  operation: Operation,
  { passwordHashes }: { passwordHashes: boolean },
  write: (lines: string) => Promise<void>,
): Promise<ExportOutcome> {
  // Committed before the first line leaves: whoever breaks an export off has read some of it.
  const details = { password_hashes: passwordHashes ? 'yes' : 'no' }
  await transact(db, (tx) => record(tx, operation, { type: 'user.exported', outcome: 'success', details }))
  const snapshot = db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only')
  return await snapshot.execute(async (tx) => {
    const outcome = { accounts: 0, withheld: 0 }
    for (let after: string | null = null; ; ) {
      const users: User[] = await listAfter(tx, after, BATCH)
      const last = users.at(-1)
      if (!last) return outcome
      const withheld = passwordHashes ? await withUselessPassword(tx, users) : new Set<string>()
      await write(users.map((user) => toLine(user, { passwordHashes, withheld })).join(''))
      outcome.accounts += users.length
      outcome.withheld += withheld.size
      after = last.id
    }
  })
}

/**
 * Those whose password lets nobody in, or not before the address is verified. Neither can be told to whoever takes the
 * lines, and there it would be good again: for a thief from whom the account was taken back, or for a stranger who
 * registered with the address of somebody else.
 */
async function withUselessPassword(db: Db, users: readonly User[]): Promise<Set<string>> {
  const disabled = await withDisabledPassword(db, users)
  const useless = ({ id, mustVerify, emailVerified }: User) => disabled.has(id) || (mustVerify && !emailVerified)
  return new Set(users.filter((user) => user.passwordHash !== null && useless(user)).map(({ id }) => id))
}

function toLine(user: User, options: { passwordHashes: boolean; withheld: ReadonlySet<string> }): string {
  const line = {
    id: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    ...(options.passwordHashes ? { password_hash: options.withheld.has(user.id) ? null : user.passwordHash } : {}),
    roles: user.roles,
    claims: user.claims,
    disabled: user.disabledAt !== null,
    created_at: user.createdAt,
  }
  return `${JSON.stringify(line)}\n`
}
