import { challenge, type Schemes } from './challenges.ts'

/**
 * What failed. The set is closed: a `switch` over it can be exhaustive.
 *
 * The token was not sent or does not hold (401):
 * - `missing`: no token was sent by a scheme that is taken. Thrown by the plugins only.
 * - `malformed`: no compact JWS of two JSON objects, in a spelling other than the one the issuer uses, or too long.
 * - `header`: a header parameter that brings or names a key (`jwk`, `jku`, `x5u`, `x5c`), or changes how a token is to be
 *   read (`crit`, `b64`, `zip`, `enc`).
 * - `alg`: not RS256. - `typ`: not at+jwt. - `kid`: names no key that the issuer publishes.
 * - `signature`: the key that `kid` names did not sign it.
 * - `issuer`, `audience`: from somebody else, for somebody else.
 * - `expired`, `not_before`, `issued_at`: not valid any more, not valid yet, issued in the future.
 * - `claim`: one that RFC 9068 requires is missing, or one has the wrong type; `cnf`, where a bound token is needed.
 * - `revoked`: its session, its user, its client or its key was ended before it expired. Verifiers with `revocations` only.
 * - `dpop`: it is bound to a key (RFC 9449), and the proof is missing or does not hold.
 *
 * The token holds, but does not suffice (403):
 * - `scope`, `role`: it does not grant what was asked for.
 *
 * Nothing can be said about the token (503):
 * - `keys`: the issuer's keys could not be had. The token may be fine, so its owner must not be signed out for it.
 * - `stale`: what the issuer has revoked is not known well enough. Verifiers with `revocations` only.
 * - `replays`: whether the proof was used before could not be told, because `isReplay` failed.
 */
export type Check =
  | 'missing'
  | 'malformed'
  | 'header'
  | 'alg'
  | 'typ'
  | 'kid'
  | 'signature'
  | 'issuer'
  | 'audience'
  | 'expired'
  | 'not_before'
  | 'issued_at'
  | 'claim'
  | 'revoked'
  | 'dpop'
  | 'scope'
  | 'role'
  | 'keys'
  | 'stale'
  | 'replays'

interface Details {
  /** The scope that would have been enough, for the challenge of a 403. */
  scope?: string
  /** The protection space, for the challenge when no token was sent. */
  realm?: string
  /** Of the route. Default: Bearer alone. */
  schemes?: Schemes
  /** Seconds after which another attempt makes sense, for a 503. */
  retryAfter?: number
  cause?: unknown
}

/**
 * A token was refused. `check` and `message` are for the log: they hold short, quoted pieces of the token's contents at
 * most. `status` and `headers` are for the client, and all that it should learn.
 */
export class VerificationError extends Error {
  override readonly name = 'VerificationError'
  readonly check: Check
  /** The status of the answer: 401, 403 for `scope` and `role`, 503 for `keys`, `stale` and `replays`. */
  readonly status: 401 | 403 | 503
  /** The same, under the name by which Fastify looks for it. */
  readonly statusCode: 401 | 403 | 503
  /** Of the answer: the challenge (RFC 6750 §3, RFC 9449 §7.1) or `retry-after`. The error handlers of Express and Fastify send them. */
  readonly headers: Readonly<Record<string, string>>

  constructor(check: Check, message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.check = check
    this.status = this.statusCode = statusFor(check)
    this.headers = headersFor(check, details)
  }
}

function statusFor(check: Check): 401 | 403 | 503 {
  if (check === 'keys' || check === 'stale' || check === 'replays') return 503
  return check === 'scope' || check === 'role' ? 403 : 401
}

const BEARER: Schemes = { used: 'Bearer', taken: ['Bearer'] }

/** The reason is not disclosed: it helps no client, but could help an attacker. */
function headersFor(
  check: Check,
  { scope, realm = 'access', retryAfter = 1, schemes = BEARER }: Details,
): Record<string, string> {
  if (statusFor(check) === 503) return { 'retry-after': String(Math.max(1, Math.ceil(retryAfter))) }
  // §3.1 of RFC 6750: no error code if no token was sent, since the client may not have known that one is needed.
  if (check === 'missing') return challenge(schemes, { realm })
  return challenge(schemes, { error: codeFor(check), scope })
}

function codeFor(check: Check): string {
  if (check === 'dpop') return 'invalid_dpop_proof'
  return check === 'scope' || check === 'role' ? 'insufficient_scope' : 'invalid_token'
}

/** States the challenge of a 401 once more, for one who knows which schemes the route takes. */
export function restate(error: VerificationError, schemes: Schemes): VerificationError {
  return error.status === 401 ? Object.assign(error, { headers: headersFor(error.check, { schemes }) }) : error
}

/** Text from a token for a message: short, on one line, and without characters that a terminal or log viewer interprets. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  const safe = text.replace(/[^\x20-\x7e]/g, '?')
  return safe.length > 80 ? `${safe.slice(0, 80)}…` : safe
}
