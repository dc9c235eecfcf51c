import { transact } from '../db/errors.ts'
import type { Tx } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { lockProven, PASSWORD_DISABLED } from './attempt-queries.ts'
import { type Attempt, identifiersOf, release, reserve } from './backoff.ts'
import type { User } from './queries.ts'

/** Somebody says that this is their password. */
interface Claim {
  /** Normalised. */
  email: string
  /** Of somebody who is signed in. Without it, the account is the one that has the address now. */
  id?: string
  password: string
}

type Refusal = 'unknown_user' | 'wrong_password' | 'no_password' | 'user_disabled' | 'password_disabled'

export type Proof<T> =
  | { value: T }
  | ({ user: User | undefined } & (
      | { refusal: Refusal; attempt: Attempt }
      | { refusal: 'backoff'; identifier: Buffer; retryAfter: number }
    ))

interface Effect<P, T> {
  /** After the password proved right and before the transaction: the place for work that takes long. */
  prepare: (user: User) => Promise<P>
  /** Together with the reset of the counter, on the locked row of a user who is enabled and still has this password. */
  commit: (tx: Tx, user: User, prepared: P) => Promise<T>
}

type ProofDeps = Pick<Deps, 'db' | 'serverKeys' | 'hasher' | 'attempts' | 'log'>

/**
 * Checks a password and, if it is right, does what it was asked for. Every claim costs one reservation and one argon2
 * computation, so that nobody can tell by the clock which accounts exist, are disabled or have no password.
 * @throws Problem overloaded; whatever the effect throws. The attempt then does not count.
 */
export async function prove<P, T>(deps: ProofDeps, now: Date, claim: Claim, effect: Effect<P, T>): Promise<Proof<T>> {
  const { email, id, password } = claim
  const reserved = await reserve(deps, now, email, id === undefined ? { email } : { id })
  const { user, attempt } = reserved
  if (!attempt) {
    const { identifier } = reserved
    // Those before it may turn out right, and then nobody is held off any longer.
    const retryAfter = deps.attempts.has(identifier) ? 1 : reserved.retryAfter
    return { user, refusal: 'backoff', identifier, retryAfter }
  }
  const decided = deps.attempts.begin(attempt.identifier)
  try {
    return await decide(deps, { user, password }, attempt, effect)
  } catch (error) {
    await release(deps, attempt).catch((err: unknown) =>
      deps.log.warn({ err }, 'a login attempt that was not decided still counts'),
    )
    throw error
  } finally {
    decided()
  }
}

const ROUNDS = 3

async function decide<P, T>(
  deps: ProofDeps,
  claim: { user: User | undefined; password: string },
  attempt: Attempt,
  effect: Effect<P, T>,
): Promise<Proof<T>> {
  let { user } = claim
  for (let round = 1; round <= ROUNDS; round++) {
    const matches = await deps.hasher.verify(user?.passwordHash ?? null, claim.password)
    const refusal = judge(user, matches, attempt.failures)
    if (!user || refusal) return { user: claim.user, refusal: refusal ?? 'unknown_user', attempt }

    const proven = user
    const prepared = await effect.prepare(proven)
    const outcome = await transact(deps.db, async (tx) => {
      const current = await lockProven(tx, proven, identifiersOf(deps.serverKeys, proven.email))
      // Disabled, or given another hash, while this one was computed: a family started now would outlive both.
      if (!current?.stands) return { changed: current }
      return { value: await effect.commit(tx, current, prepared) }
    })
    if ('value' in outcome) return outcome as { value: T }
    // Perhaps the same password hashed anew by another sign-in: judged again by what the row says now.
    user = outcome.changed
  }
  throw new Problem('unavailable', {
    reason: 'the account kept changing while its password was checked',
    retryAfter: 1,
  })
}

/** All of these look the same from outside; only the trail tells them apart. */
function judge(user: User | undefined, matches: boolean, failures: number): Refusal | undefined {
  if (!user) return 'unknown_user'
  // The attempt that makes it a hundred may still be the right one.
  if (failures > PASSWORD_DISABLED) return 'password_disabled'
  if (user.passwordHash === null) return 'no_password'
  if (!matches) return 'wrong_password'
  return user.disabledAt ? 'user_disabled' : undefined
}
