import { record } from '../../audit/audit.ts'
import type { LoginFailure } from '../../audit/events.ts'
import { transact } from '../../db/errors.ts'
import type { Db, Tx } from '../../db/schema.ts'
import type { User } from '../../db/user.ts'
import { Problem } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Operation } from '../../operation.ts'
import { type NoticeDeps, tellOwner } from '../../outbox/mail/notices.ts'
import type { Device } from '../../tokens/device.ts'
import { type Attempt, settleAttempt } from '../attempt-queries.ts'
import { identify, release, reserve } from '../attempts.ts'
import { PASSWORD_DISABLED } from '../counter-queries.ts'
import { failedFrom, sprayIdentifiers } from '../sprays.ts'
import type { PasswordHasher } from './hasher.ts'
import { disablePassword, lockProven, writePasswordHash } from './queries.ts'

/** The claim that this is somebody's password. */
interface Claim {
  /** Normalised. */
  email: string
  /** The id of a user who is signed in. Without it, the account is the one that has the address now. */
  id?: string
  password: string
  /** The client's address; null if a failure is no sign of a spray. */
  address: string | null
  /** Where it is made from, as far as people have signed in there before. */
  devices?: readonly Device[]
}

type Refusal = Exclude<LoginFailure, 'backoff'>

export type Proof<T> =
  | { kind: 'proven'; value: T }
  | {
      kind: 'refused'
      user: User | undefined
      reason: Refusal
      /** Running, of the counter that counted it. */
      failures: number
      /** Whether it shows that a spray comes from the network of the address. */
      spray: boolean
    }
  | { kind: 'held_off'; user: User | undefined; reason: 'backoff'; retryAfter: number }

interface Effect<T> {
  /** Makes the hash that replaces the one that matched. Runs before the transaction, because it takes long. */
  replaceHash: (user: User) => Promise<string | undefined>
  /**
   * Runs in the transaction that resets the counter and has locked the user, who is enabled and still has this
   * password.
   */
  commit: (tx: Tx, user: User) => Promise<T>
}

type ProofDeps = NoticeDeps & { db: Db; hasher: PasswordHasher; log: Log }

/**
 * Checks a password and, if it is right, runs the effect. Every claim costs one reservation and every refusal the same
 * computations, so that an attacker cannot tell by timing which accounts exist, are disabled or have no password.
 * @throws Problem overloaded; whatever the effect throws. The attempt then does not count.
 */
export async function prove<T>(
  deps: ProofDeps,
  operation: Operation,
  claim: Claim,
  effect: Effect<T>,
): Promise<Proof<T>> {
  const { email, password, address } = claim
  const reserved = await reserve(deps, operation.now, claim)
  const { user } = reserved
  if (reserved.kind === 'held_off') return { ...reserved, reason: 'backoff' }
  const { attempt, inUse } = reserved
  const counted = { attempt, address, accounts: sprayIdentifiers(deps.serverKeys, email) }
  const decision = await judge(deps, { user, password, inUse }, counted, effect).catch(async (error: unknown) => {
    await release(deps, attempt).catch((err: unknown) =>
      deps.log.warn({ err }, 'a login attempt that was not decided still counts'),
    )
    throw error
  })
  if (decision.kind === 'proven') return decision
  const spray = await settle(deps, operation, { email, address, user }, attempt)
  return { kind: 'refused', user, reason: decision.reason, failures: attempt.failures, spray }
}

/** Of no account. The statement that disables is sent for it all the same, because its time would tell which accounts exist. */
const NOBODY = '00000000-0000-0000-0000-000000000000'

/**
 * Notes that the attempt has failed. The hundredth failure is an event, whether or not there is an account.
 * @returns whether it shows a spray.
 */
async function settle(
  deps: ProofDeps,
  operation: Operation,
  { email, address, user }: { email: string; address: string | null; user: User | undefined },
  attempt: Attempt,
): Promise<boolean> {
  const { now } = operation
  const userId = user?.id ?? null
  const settlement = { now, attempt, failed: failedFrom(deps.serverKeys, address, email) }
  if (attempt.ofAccount < PASSWORD_DISABLED) return await settleAttempt(deps.db, settlement)
  // An account that does not exist is disabled by exactly the hundredth; one that does, if a failure was not settled, by a later one.
  const due = user ? user.passwordDisabledAt === null : attempt.ofAccount === PASSWORD_DISABLED
  if (!due) return await settleAttempt(deps.db, settlement)
  return await transact(deps.db, async (tx) => {
    // The account first, as by a sign-in, so that the two do not deadlock.
    const disabled = await disablePassword(tx, userId ?? NOBODY, now)
    const spray = await settleAttempt(tx, settlement)
    if (user && !disabled) return spray
    const details = { identifier: identify(deps.serverKeys, email), failures: attempt.ofAccount }
    const event = { type: 'login.password_disabled', outcome: 'success', userId, details } as const
    await record(tx, { ...operation, actor: 'server' }, event)
    if (user) await tellOwner(tx, deps, operation, { userId: user.id, cause: 'password-disabled' })
    return spray
  })
}

const ROUNDS = 3

type Decision<T> = { kind: 'proven'; value: T } | { kind: 'refused'; reason: Refusal }

async function judge<T>(
  deps: ProofDeps,
  claim: { user: User | undefined; password: string; inUse: string[] },
  { attempt, ...from }: { attempt: Attempt; address: string | null; accounts: readonly Buffer[] },
  effect: Effect<T>,
): Promise<Decision<T>> {
  let { user } = claim
  for (let round = 1; round <= ROUNDS; round++) {
    const barred = reasonAgainst(user, attempt.ofAccount)
    const matches = await deps.hasher.verify(user?.passwordHash ?? null, claim.password, {
      inUse: claim.inUse,
      welcome: barred === undefined,
    })
    if (!user) return { kind: 'refused', reason: 'unknown_user' }
    if (barred && (matches || barred !== 'user_disabled')) return { kind: 'refused', reason: barred }
    if (!matches) return { kind: 'refused', reason: 'wrong_password' }

    const proven = user
    const replacement = await effect.replaceHash(proven)
    const outcome = await transact(deps.db, async (tx) => {
      const { id, passwordHash } = proven
      const current = await lockProven(tx, { id, passwordHash, identifiers: attempt.identifiers, ...from })
      // The account was disabled or its password changed during the computation. A family started now would survive
      // that.
      if (!current?.stands) return { kind: 'changed', user: current } as const
      if (replacement !== undefined) await writePasswordHash(tx, current.id, replacement)
      return { kind: 'proven', value: await effect.commit(tx, current) } as const
    })
    if (outcome.kind === 'proven') return outcome
    // It may be the same password, hashed again by another sign-in, so the row is judged once more as it is now.
    user = outcome.user
  }
  throw new Problem('unavailable', {
    reason: 'the account kept changing while its password was checked',
    retryAfter: 1,
  })
}

/** Why even the right password is refused. The client cannot tell these reasons apart; only the audit trail can. */
function reasonAgainst(user: User | undefined, failures: number): Refusal | undefined {
  if (!user) return 'unknown_user'
  // The hundredth attempt may still succeed.
  if (user.passwordDisabledAt || failures > PASSWORD_DISABLED) return 'password_disabled'
  if (user.passwordHash === null) return 'no_password'
  return user.disabledAt ? 'user_disabled' : undefined
}
