import type { Reason } from '../../errors.ts'
import { type LimitConfig, type Policy, policiesOf } from './policies.ts'

/** A limit that its refusals state. */
export type StatedPolicy = Policy & Required<Pick<Policy, 'stated'>>

/**
 * The limit of the client's address that a refusal was for. Limits of accounts and sessions are not stated, or the
 * answer would tell what others do on that account, and whether it exists.
 */
export function statedPolicy(config: LimitConfig, reason: Reason | undefined): StatedPolicy | undefined {
  return Object.values(policiesOf(config))
    .flat()
    .find((policy): policy is StatedPolicy => policy.name === reason && policy.stated !== undefined)
}

/**
 * draft-ietf-httpapi-ratelimit-headers-11 §3, §4. Only refusals state it: what is left to an address tells those who
 * share it what the others do (§8.2), and of a leased counter no process knows it before it is used up.
 * @param retryAfter the same seconds as in `Retry-After`, which must not end before the window does (§6).
 */
export function rateLimitHeaders({ stated, limit, windowMs }: StatedPolicy, retryAfter: number) {
  return {
    'ratelimit-policy': `"${stated}";q=${limit};w=${windowMs / 1000}`,
    ratelimit: `"${stated}";r=0;t=${retryAfter}`,
  }
}
