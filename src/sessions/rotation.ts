import type { RefreshRefusal, ReuseReason } from '../audit/events.ts'
import type { Config } from '../config/config.ts'
import type { Delivery } from '../db/schema.ts'
import { type Lifetime, lifeAt } from './live.ts'

// No I/O and no clock: the whole rule for a presented refresh token is decide(), the table "Refresh tokens" of docs/reference.md.

/** What a request presents. The token's tag has been verified: we made it. */
export interface Presented {
  generation: number
  /** SHA-256 of the token. */
  hash: Buffer
  /** SHA-256 of the Idempotency-Key, if one was sent. */
  keyHash: Buffer | null
  delivery: Delivery
  /** What the request says it is; null if it does not. */
  clientId: string | null
}

/** What the row of the family says. */
export interface FamilyState extends Lifetime {
  clientId: string
  delivery: Delivery
  generation: number
  currentHash: Buffer
  previousHash: Buffer | null
  /** When the previous generation was first used, which made the current one. */
  rotatedAt: Date
  rotationKeyHash: Buffer | null
  userDisabledAt: Date | null
}

export type RotationPolicy = Pick<Config, 'REFRESH_GRACE_SECONDS' | 'REFRESH_LATE_RETRY' | 'REFRESH_ROLL_FORWARD'>

export type Verdict =
  /** The current token: a new one takes its place. */
  | { kind: 'rotate' }
  /** The previous token again: the same successor again. */
  | { kind: 'retry' }
  /** The previous token again, too late: another successor takes the place of the unused one. */
  | { kind: 'recover'; secondsLate: number }
  /** A token that the database has forgotten making: go on from it. */
  | { kind: 'roll_forward' }
  /** A token that has been replaced: somebody has a copy. The family ends. */
  | { kind: 'reuse'; reason: ReuseReason }
  | { kind: 'refuse'; reason: 'unknown_family' | 'ended' | 'expired' | RefreshRefusal }

/** When a request is judged. What passed since it arrived was our own time, and only the absolute end takes notice of it. */
export interface Moment {
  arrivedAt: Date
  /** Of the first of its attempts, if it was told to come back: as a retry it is as old as that one. */
  since: Date
  now: Date
}

export function decide(
  presented: Presented,
  family: FamilyState | undefined,
  { arrivedAt, since, now }: Moment,
  policy: RotationPolicy,
): Verdict {
  if (!family) return { kind: 'refuse', reason: 'unknown_family' }
  const life = lifeAt(family, now, arrivedAt)
  if (life !== 'live') return { kind: 'refuse', reason: life }
  if (family.userDisabledAt) return { kind: 'refuse', reason: 'user_disabled' }
  if (presented.delivery !== family.delivery) return { kind: 'refuse', reason: 'wrong_delivery' }
  if (presented.clientId !== null && presented.clientId !== family.clientId)
    return { kind: 'refuse', reason: 'wrong_client' }

  if (presented.hash.equals(family.currentHash)) return { kind: 'rotate' }
  // Authentic, not the current token, and not older either: the database lost the commits that made it, or made another
  // of the same generation after it lost them.
  if (presented.generation >= family.generation) {
    return policy.REFRESH_ROLL_FORWARD === 'on'
      ? { kind: 'roll_forward' }
      : { kind: 'refuse', reason: 'ahead_of_database' }
  }
  // As long as the row names it as the previous one, its successor has not been used: using it would have moved it on.
  if (family.previousHash && presented.hash.equals(family.previousHash))
    return decideRetry(presented, family, since, policy)
  return { kind: 'reuse', reason: 'older_generation' }
}

function decideRetry(presented: Presented, family: FamilyState, since: Date, policy: RotationPolicy): Verdict {
  const { keyHash } = presented
  if (keyHash && family.rotationKeyHash?.equals(keyHash)) return { kind: 'retry' }
  const secondsLate = (since.getTime() - family.rotatedAt.getTime()) / 1000 - policy.REFRESH_GRACE_SECONDS
  // With a grace of 0 nothing is within it, not even the same millisecond.
  if (policy.REFRESH_GRACE_SECONDS > 0 && secondsLate <= 0) return { kind: 'retry' }
  const keyed = keyHash !== null || family.rotationKeyHash !== null
  if (keyed) return { kind: 'reuse', reason: 'other_idempotency_key' }
  if (policy.REFRESH_LATE_RETRY === 'recover') return { kind: 'recover', secondsLate }
  return { kind: 'reuse', reason: 'late_retry' }
}
