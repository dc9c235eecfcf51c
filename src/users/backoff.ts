import type { Db } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { hmac, type KeyList } from '../secrets.ts'
import {
  accountsWithFailures,
  deleteFailures,
  PASSWORD_DISABLED,
  type Reservation,
  releaseAttempt,
  reserveAttempt,
  type Wanted,
} from './attempt-queries.ts'
import type { User } from './queries.ts'

const RULE = { threshold: 5, firstSeconds: 30, longestSeconds: 3600 }

/** The fifth consecutive failure starts the back-off. */
export const BACKOFF_STARTS = RULE.threshold

/** An attempt that may go on to the hash. It counts as failed until somebody says otherwise. */
export interface Attempt extends Reservation {
  identifier: Buffer
}

/** What a person is known by in the trail: people type passwords into the e-mail field, so never what was typed. */
function identify(serverKeys: KeyList, email: string): Buffer {
  return hmac(serverKeys[0].identifiers, email)
}

/** The counter may have been begun under any secret of the list. */
export function identifiersOf(serverKeys: KeyList, email: string): Buffer[] {
  return serverKeys.map((keys) => hmac(keys.identifiers, email))
}

/**
 * Reserves an attempt to prove who one is, whether or not the account exists. To be called before the hash.
 * @param email as normaliseEmail returns it.
 * @returns the account, and the attempt or after how many whole seconds the next one is looked at.
 */
export async function reserve(
  deps: Pick<Deps, 'db' | 'serverKeys'>,
  now: Date,
  email: string,
  wanted: Wanted = { email },
): Promise<
  { user: User | undefined } & ({ attempt: Attempt } | { attempt: undefined; identifier: Buffer; retryAfter: number })
> {
  const identifier = identify(deps.serverKeys, email)
  const asked = { identifiers: identifiersOf(deps.serverKeys, email), wanted, now }
  const { user, reservation, blockedUntil } = await reserveAttempt(deps.db, asked, RULE)
  if (reservation) return { user, attempt: { ...reservation, identifier } }
  const wait = (blockedUntil?.getTime() ?? 0) - now.getTime()
  return { user, attempt: undefined, identifier, retryAfter: Math.max(1, Math.ceil(wait / 1000)) }
}

/** For an attempt that was not decided: nobody is to pay for our being too busy. */
export async function release(deps: Pick<Deps, 'db'>, attempt: Attempt): Promise<void> {
  await releaseAttempt(deps.db, attempt, RULE.threshold)
}

/** Forgets the failures of an account; a disabled password works again. @returns whether there were any. */
export async function clearFailures(
  db: Db,
  serverKeys: KeyList,
  user: { id: string; email: string },
): Promise<boolean> {
  return (await deleteFailures(db, identifiersOf(serverKeys, user.email), user.id)) > 0
}

/** Of these accounts, those whose password no longer works because of too many failures. */
export async function withDisabledPassword(db: Db, userIds: string[]): Promise<Set<string>> {
  return await accountsWithFailures(db, userIds, PASSWORD_DISABLED)
}
