import type { CodeRefusal } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { identify } from '../credentials/attempts.ts'
import { type Checked, checkCode, redeemCode } from '../credentials/codes/codes.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { normaliseEmail } from '../users/email.ts'
import { lockAccount } from '../users/lookup.ts'

/** What only somebody has who reads the mailbox: the token of a link, or the digits beside it. */
export type FromMailbox = { token: string } | { email: string; code: string }

type CodeFacts = Extract<Checked, { kind: 'valid' }>['facts']
type Refused = { kind: 'refused'; reason: CodeRefusal }

/**
 * Judges what was mailed, and hashes the password that comes with it. It uses nothing up, since no transaction waits for a
 * hash: `redeemFor` does.
 * @throws Problem invalid_email, password_*, overloaded.
 */
export async function proveMailbox(
  deps: { db: Db; clock: Clock; config: Config; hasher: PasswordHasher; serverKeys: KeyList },
  purpose: 'verify_email' | 'reset_password' | 'invitation',
  presented: FromMailbox,
  password: string,
): Promise<{ kind: 'valid'; facts: CodeFacts; passwordHash: string } | Extract<Checked, { kind: 'refused' }>> {
  if ('token' in presented) {
    const checked = await checkCode(deps, deps.clock(), purpose, presented)
    if (checked.kind === 'refused') return checked
    checkNewPassword(deps.config, checked.facts.email, password)
    return { ...checked, passwordHash: await deps.hasher.hash(password) }
  }
  const email = normaliseEmail(presented.email)
  checkNewPassword(deps.config, email, password)
  // Hashed whether or not the code is right. If only some refusals took a hash, their time would tell an attacker which
  // addresses have an account.
  const passwordHash = await deps.hasher.hash(password)
  const checked = await checkCode(deps, deps.clock(), purpose, { email, code: presented.code })
  return checked.kind === 'refused' ? checked : { ...checked, passwordHash }
}

/**
 * Uses up what was found valid, and locks its account. A refusal, too, counts only if the transaction commits.
 * @returns the account, which is enabled and has the address that the mail went to.
 */
export async function redeemFor(
  tx: Tx,
  { id, userId, email }: CodeFacts,
): Promise<{ kind: 'redeemed'; user: User } | Refused> {
  const user = userId === null ? undefined : await lockAccount(tx, userId)
  const redeemed = await redeemCode(tx, { id })
  if (!redeemed || user?.email !== email) return { kind: 'refused', reason: 'used' }
  return user.disabledAt ? { kind: 'refused', reason: 'user_disabled' } : { kind: 'redeemed', user }
}

/**
 * Refuses in the same words for every cause: whoever guesses must not learn whether the address has an account, or a code.
 * @throws Problem invalid_code.
 */
export async function refuseMailbox(
  deps: { serverKeys: KeyList; tally: Tally },
  operation: Operation,
  type: 'password.reset' | 'email.verified',
  { presented, reason }: { presented: FromMailbox; reason: CodeRefusal },
): Promise<never> {
  await deps.tally.add(operation, { type, outcome: 'failure', reason, details: whoseCode(deps, presented) })
  throw new Problem('invalid_code', { reason })
}

/** What the trail tells of it: a token names nobody. */
export function whoseCode({ serverKeys }: { serverKeys: KeyList }, presented: FromMailbox): { identifier?: string } {
  return 'token' in presented ? {} : { identifier: identify(serverKeys, normaliseEmail(presented.email)) }
}
