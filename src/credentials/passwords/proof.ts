import type { LoginFailure } from '../../audit/events.ts'
import type { KeyList } from '../../config/secrets.ts'
import { transact } from '../../db/errors.ts'
import type { Db, Tx } from '../../db/schema.ts'
import type { User } from '../../db/user.ts'
import { Problem } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { type Attempt, PASSWORD_DISABLED, settleAttempt } from '../attempt-queries.ts'
import { release, reserve } from '../attempts.ts'
import type { PasswordHasher } from './hasher.ts'
import { lockProven, writePasswordHash } from './queries.ts'

/** Somebody says that this is their password. */
interface Claim {
  /** Normalised. */
  email: string
  /** Of somebody who is signed in. Without it, the account is the one that has the address now. */
  id?: string
  password: string
}

type Refusal = Exclude<LoginFailure, 'backoff'>

export type Proof<T> =
  | { kind: 'proven'; value: T }
  | { kind: 'refused'; user: User | undefined; reason: Refusal; failures: number }
  | { kind: 'held_off'; user: User | undefined; reason: 'backoff'; retryAfter: number }

interface Effect<T> {
  /** The hash to keep in place of the one that matched. After the match and before the transaction, because it takes long. */
  replaceHash: (user: User) => Promise<string | undefined>
  /** Together with the reset of the counter, on the locked row of a user who is enabled and still has this password. */
  commit: (tx: Tx, user: User) => Promise<T>
}

type ProofDeps = { db: Db; serverKeys: KeyList; hasher: PasswordHasher; log: Log }

/**
 * Checks a password and, if it is right, does what it was asked for. Every claim costs one reservation, and every refusal the
 * same computations, so that nobody can tell by the clock which accounts exist, are disabled or have no password.
 * @throws Problem overloaded; whatever the effect throws. The attempt then does not count.
 */
export async function prove<T>(deps: ProofDeps, now: Date, claim: Claim, effect: Effect<T>): Promise<Proof<T>> {
  const { email, id, password } = claim
  const wanted = id === undefined ? undefined : ({ by: 'id', value: id } as const)
  const reserved = await reserve(deps, now, email, wanted)
  const { user } = reserved
  if (reserved.kind === 'held_off') return { ...reserved, reason: 'backoff' }
  const { attempt, inUse } = reserved
  const decision = await decide(deps, { user, password, inUse }, attempt, effect).catch(async (error: unknown) => {
    await release(deps, attempt).catch((err: unknown) =>
      deps.log.warn({ err }, 'a login attempt that was not decided still counts'),
    )
    throw error
  })
  if (decision.kind === 'proven') return decision
  await settleAttempt(deps.db, now, attempt, user?.id ?? null)
  return { kind: 'refused', user, reason: decision.reason, failures: attempt.failures }
}

const ROUNDS = 3

type Decision<T> = { kind: 'proven'; value: T } | { kind: 'refused'; reason: Refusal }

async function decide<T>(
  deps: ProofDeps,
  claim: { user: User | undefined; password: string; inUse: string[] },
  attempt: Attempt,
  effect: Effect<T>,
): Promise<Decision<T>> {
  let { user } = claim
  for (let round = 1; round <= ROUNDS; round++) {
    const barred = reasonAgainst(user, attempt.failures)
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
      const current = await lockProven(tx, proven, attempt.identifiers)
      // Disabled, or given another hash, while this one was computed: a family started now would outlive both.
      if (!current?.stands) return { kind: 'changed', user: current } as const
      if (replacement !== undefined) await writePasswordHash(tx, current.id, replacement)
      return { kind: 'proven', value: await effect.commit(tx, current) } as const
    })
    if (outcome.kind === 'proven') return outcome
    // Perhaps the same password hashed anew by another sign-in: judged again by what the row says now.
    user = outcome.user
  }
  throw new Problem('unavailable', {
    reason: 'the account kept changing while its password was checked',
    retryAfter: 1,
  })
}

/** What would refuse the right password, too. All of these look the same from outside; only the trail tells them apart. */
function reasonAgainst(user: User | undefined, failures: number): Refusal | undefined {
  if (!user) return 'unknown_user'
  // The attempt that makes it a hundred may still be the right one.
  if (user.passwordDisabledAt || failures > PASSWORD_DISABLED) return 'password_disabled'
  if (user.passwordHash === null) return 'no_password'
  return user.disabledAt ? 'user_disabled' : undefined
}
