import { hmac, type KeyList } from '../config/secrets.ts'
import { violatedConstraint } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import type { Device } from '../tokens/device.ts'
import { type Attempt, releaseAttempt, reserveAttempt, type Wanted } from './attempt-queries.ts'
import {
  accountsWithFailures,
  deleteCounters,
  deleteFailures,
  findCounter,
  PASSWORD_DISABLED,
} from './counter-queries.ts'
import { counterOf } from './devices.ts'

const RULE = { threshold: 5, firstSeconds: 30, longestSeconds: 3600, longestFlightSeconds: 30 }

/** The fifth consecutive failure starts the back-off. */
export const BACKOFF_STARTS = RULE.threshold

/**
 * What a counter is kept under: an HMAC of the address, because people type passwords into the e-mail field. There is
 * one for each entry of CLAVIGER_SECRET, so that counters outlive a planned change of the secret. Ascending, see
 * reserveAttempt.
 */
function identifiersOf(serverKeys: KeyList, email: string): Buffer[] {
  return serverKeys.map((keys) => hmac(keys.identifiers, email)).toSorted(Buffer.compare)
}

/** The identifier that the audit trail shows. */
export function identify(serverKeys: KeyList, email: string): string {
  return hmac(serverKeys[0].identifiers, email).toString('hex')
}

export type Reserved = { user: User | undefined } & (
  | { kind: 'attempt'; attempt: Attempt; inUse: string[] }
  /** Whole seconds. */
  | { kind: 'held_off'; retryAfter: number }
)

/**
 * Reserves an attempt, whether or not the account exists. Called before the password is hashed. A device on which the
 * user of the account has signed in before has a counter of its own, so that strangers cannot keep the user out.
 * @param claim `email` as normaliseEmail returns it; `id` is of a user who is signed in.
 * @returns the account, and either the attempt or how many whole seconds to wait before the next one.
 */
export async function reserve(
  deps: { db: Db; serverKeys: KeyList },
  now: Date,
  { email, id, devices = [] }: { email: string; id?: string; devices?: readonly Device[] },
): Promise<Reserved> {
  const wanted: Wanted = id === undefined ? { by: 'email', value: email } : { by: 'id', value: id }
  const counters = {
    identifiers: identifiersOf(deps.serverKeys, email),
    devices: devices.map((device) => ({ userId: device.userId, identifier: counterOf(device) })),
  }
  const ask = () => reserveAttempt(deps.db, { counters, wanted, now, rule: RULE })
  const { user, counter, attempt, inUse } = await ask().catch((error: unknown) => {
    if (violatedConstraint(error) !== 'login_failures_user_id_fkey') throw error
    // The account was deleted at this very moment. It is looked up again.
    return ask()
  })
  if (attempt) return { kind: 'attempt', user, attempt, inUse }
  return { kind: 'held_off', user, retryAfter: retryAfter(await findCounter(deps.db, counter), now) }
}

/** Until when attempts on an account are refused, if they are. */
export async function heldOffUntil(
  deps: { db: Db; serverKeys: KeyList },
  now: Date,
  email: string,
): Promise<Date | undefined> {
  const counter = await findCounter(deps.db, identifiersOf(deps.serverKeys, email))
  return counter && counter.blockedUntil > now ? counter.blockedUntil : undefined
}

/** Attempts in flight count as failed but may still succeed, which ends the refusal: then the wait is only a second. */
function retryAfter(counter: Awaited<ReturnType<typeof findCounter>>, now: Date): number {
  if (!counter) return 1
  const { blockedUntil, inFlight, lastAttemptAt } = counter
  if (inFlight > 0 && now.getTime() - lastAttemptAt.getTime() < RULE.longestFlightSeconds * 1000) return 1
  return Math.max(1, Math.ceil((blockedUntil.getTime() - now.getTime()) / 1000))
}

/** Uncounts an attempt that was not decided: users must not pay for the server being busy. */
export async function release(deps: { db: Db }, attempt: Attempt): Promise<void> {
  await releaseAttempt(deps.db, attempt, RULE.threshold)
}

/** Forgets the failures of an account. @returns whether there were any. */
export async function clearFailures(db: Db, serverKeys: KeyList, user: Pick<User, 'id' | 'email'>): Promise<boolean> {
  return (await deleteFailures(db, identifiersOf(serverKeys, user.email), user.id)) > 0
}

/** Forgets the failures of addresses that have had no account. */
export async function clearFailuresOf(db: Db, serverKeys: KeyList, emails: readonly string[]): Promise<void> {
  await deleteCounters(
    db,
    emails.flatMap((email) => identifiersOf(serverKeys, email)),
  )
}

/** Those of the accounts whose password is disabled because of too many failures. */
export async function withDisabledPassword(db: Db, users: readonly User[]): Promise<Set<string>> {
  const ids = users.map(({ id }) => id)
  const disabled = users.filter(({ passwordDisabledAt }) => passwordDisabledAt !== null).map(({ id }) => id)
  // Or about to be disabled: the hundredth attempt disables the password once it is decided.
  return new Set([...disabled, ...(await accountsWithFailures(db, ids, PASSWORD_DISABLED))])
}
