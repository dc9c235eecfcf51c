import type { ProofRefusal, RefreshRefusal, ReuseReason } from '../audit/events.ts'
import type { Config } from '../config/config.ts'
import type { Delivery } from '../db/schema.ts'
import type { ProvenKey } from '../proven-key.ts'
import { type Lifetime, lifeAt } from './live.ts'

// No I/O and no clock. decide() is the whole rule for a presented refresh token: the table "Refresh tokens" of
// docs/reference.md.

/** What a request presents. The token's tag has been verified, so we made it. */
export interface Presented {
  generation: number
  /** SHA-256 of the token. */
  hash: Buffer
  /** SHA-256 of the Idempotency-Key, if one was sent. */
  keyHash: Buffer | null
  delivery: Delivery
  /** The client that the request names, if any. */
  clientId: string | null
  /** The key that the request has proved to hold, if any. */
  proof: ProvenKey | null
}

/** What the row of the family says. */
export interface FamilyState extends Lifetime {
  clientId: string
  delivery: Delivery
  generation: number
  currentHash: Buffer
  previousHash: Buffer | null
  /** When the previous generation was first used, and the current one was made. */
  rotatedAt: Date
  rotationKeyHash: Buffer | null
  userDisabledAt: Date | null
  /** Thumbprint of the key that the family is bound to, if it is. */
  dpopJkt: string | null
}

export type RotationPolicy = Pick<Config, 'REFRESH_GRACE_SECONDS' | 'REFRESH_LATE_RETRY' | 'REFRESH_ROLL_FORWARD'>

export type Verdict =
  /** The current token. A new one takes its place. */
  | { kind: 'rotate' }
  /** The previous token, sent again. The answer is the same successor. */
  | { kind: 'retry' }
  /** The previous token, sent again too late. Another successor replaces the unused one. */
  | { kind: 'recover'; secondsLate: number }
  /** A token newer than the row: the database has lost the commit that made it. The family goes on from it. */
  | { kind: 'roll_forward' }
  /** It waited in here while its successor was used: what it was when it arrived, nobody can tell any more. */
  | { kind: 'overtaken' }
  /** A token that was replaced, used again. A thief may have a copy, and it is unknown who sent it. The family ends. */
  | { kind: 'reuse'; reason: ReuseReason }
  | { kind: 'refuse'; reason: 'unknown_family' | 'ended' | 'expired' | RefreshRefusal | ProofRefusal }

/** When a request is judged. The time from its arrival until now was spent by us, so only the absolute end counts it. */
export interface Moment {
  arrivedAt: Date
  /** When the first attempt arrived, if the client was told to come back: the grace of a retry is judged by that. */
  since: Date
  now: Date
  /** Whether a newer token was here before it; undefined if this process has not seen the family. */
  wasOld?: boolean | undefined
}

export function decide(
  presented: Presented,
  family: FamilyState | undefined,
  moment: Moment,
  policy: RotationPolicy,
): Verdict {
  const { arrivedAt, since, now } = moment
  if (!family) return { kind: 'refuse', reason: 'unknown_family' }
  const life = lifeAt(family, now, arrivedAt)
  if (life !== 'live') return { kind: 'refuse', reason: life }
  if (family.userDisabledAt) return { kind: 'refuse', reason: 'user_disabled' }
  if (presented.delivery !== family.delivery) return { kind: 'refuse', reason: 'wrong_delivery' }
  if (presented.clientId !== null && presented.clientId !== family.clientId)
    return { kind: 'refuse', reason: 'wrong_client' }
  // Before the token is judged, whatever its generation: a thief who has one but not the key can end nothing either.
  if (family.dpopJkt !== null && presented.proof?.jkt !== family.dpopJkt)
    return { kind: 'refuse', reason: presented.proof === null ? 'no_proof' : 'other_key' }

  if (presented.hash.equals(family.currentHash)) return { kind: 'rotate' }
  // Authentic, not current, yet not older than the row: the database has lost the commit that made it, as in a
  // failover, and may since have made another token of the same generation.
  if (presented.generation >= family.generation) {
    return policy.REFRESH_ROLL_FORWARD === 'on'
      ? { kind: 'roll_forward' }
      : { kind: 'refuse', reason: 'ahead_of_database' }
  }
  // While the row names it as the previous token, its successor is unused: a use would have made that one the previous.
  if (family.previousHash && presented.hash.equals(family.previousHash))
    return decideRetry(presented, family, since, policy)
  if (wasOvertaken(presented, family, moment, policy)) return { kind: 'overtaken' }
  return { kind: 'reuse', reason: 'older_generation' }
}

/**
 * Whether it may have been the current token when it arrived, or a retry of the previous one. Two tabs that refresh at once, or a
 * client that gave up on an answer, must not be taken for a thief because one of their requests had to wait for us, however often the
 * others were served.
 */
function wasOvertaken(
  { keyHash, proof }: Presented,
  family: FamilyState,
  { arrivedAt, wasOld }: Moment,
  policy: RotationPolicy,
): boolean {
  const isFresh = family.dpopJkt !== null && proof?.fresh === true
  const mayBeRetry =
    policy.REFRESH_GRACE_SECONDS > 0 || policy.REFRESH_LATE_RETRY === 'recover' || keyHash !== null || isFresh
  if (!mayBeRetry || wasOld) return false
  // Of two in the same millisecond, the times do not tell which came first; a process that knows the family would.
  return wasOld === false ? arrivedAt <= family.rotatedAt : arrivedAt < family.rotatedAt
}

function decideRetry(presented: Presented, family: FamilyState, since: Date, policy: RotationPolicy): Verdict {
  const { keyHash } = presented
  if (keyHash && family.rotationKeyHash?.equals(keyHash)) return { kind: 'retry' }
  const secondsLate = (since.getTime() - family.rotatedAt.getTime()) / 1000 - policy.REFRESH_GRACE_SECONDS
  // A grace of 0 means none, not even within the same millisecond.
  if (policy.REFRESH_GRACE_SECONDS > 0 && secondsLate <= 0) return { kind: 'retry' }
  const keyed = keyHash !== null || family.rotationKeyHash !== null
  if (keyed) return { kind: 'reuse', reason: 'other_idempotency_key' }
  // Only whoever holds the key can have made this proof, and just now: it is the client, which missed the answer.
  if (family.dpopJkt !== null && presented.proof?.fresh) return { kind: 'retry' }
  if (policy.REFRESH_LATE_RETRY === 'recover') return { kind: 'recover', secondsLate }
  return { kind: 'reuse', reason: 'late_retry' }
}
