import { quote, VerificationError } from './errors.ts'

/** Claims of an access token (RFC 9068 §2.2) of Claviger. Times are seconds since the epoch. */
export interface Claims {
  iss: string
  /** The user's id; the client's for a service that acts on its own. */
  sub: string
  aud: string | string[]
  client_id: string
  iat: number
  exp: number
  jti: string
  nbf?: number
  /** The session; absent where there is none. */
  sid?: string
  /** Separated by spaces. Ask `requireScope`, not `scope.includes`: "orders:read" is no part of "orders:readonly". */
  scope?: string
  roles?: string[]
  auth_time?: number
  amr?: string[]
  acr?: string
  /** The key that the token is bound to, by its thumbprint (RFC 9449 §6.1). Its proof has been judged. */
  cnf?: { jkt: string }
  [custom: string]: unknown
}

export interface Expectations {
  issuer: string
  /** One of them must be among the token's. */
  audiences: readonly string[]
  /** By how much clocks may differ, in seconds. */
  clockTolerance: number
}

/**
 * Everything about the claims that can be right or wrong (RFC 9068 §4). No I/O and no clock: `now` is passed in.
 * @param now seconds since the epoch.
 * @throws VerificationError
 */
export function checkClaims(claims: Record<string, unknown>, expected: Expectations, now: number): Claims {
  const { iss, aud, exp, nbf, iat } = claims
  if (iss !== expected.issuer) throw new VerificationError('issuer', `the token is from ${quote(iss)}`)
  if (
    !isAudience(aud) ||
    !expected.audiences.some((each) => (typeof aud === 'string' ? aud === each : aud.includes(each)))
  ) {
    throw new VerificationError('audience', `the token is for ${quote(aud)}`)
  }
  if (!isTime(exp)) throw wrong('exp', exp)
  if (!isTime(iat)) throw wrong('iat', iat)
  if (nbf !== undefined && !isTime(nbf)) throw wrong('nbf', nbf)
  const { clockTolerance } = expected
  // Negated: with a clock that says NaN, nothing is in time.
  if (!(now < exp + clockTolerance)) throw new VerificationError('expired', `the token expired ${ago(now - exp)} ago`)
  if (nbf !== undefined && !(nbf <= now + clockTolerance)) {
    throw new VerificationError('not_before', `the token is valid in ${ago(nbf - now)} only`)
  }
  if (!(iat <= now + clockTolerance)) {
    throw new VerificationError('issued_at', `the token was issued ${ago(iat - now)} in the future`)
  }
  for (const name of REQUIRED) if (!isName(claims[name])) throw wrong(name, claims[name])
  for (const [name, fits] of OPTIONAL) {
    const value = claims[name]
    if (value !== undefined && !fits(value)) throw wrong(name, value)
  }
  return claims as Claims
}

/** Beyond 2^53 there is no telling one second from the next: no issuer means such a time. */
const isTime = (value: unknown): value is number =>
  typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER
const isText = (value: unknown): value is string => typeof value === 'string'
const isName = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)
/** A token that is bound to anything else is refused: what is not understood was not proved. */
const isBinding = (value: unknown): boolean => {
  const { jkt, ...others } = (value ?? {}) as Record<string, unknown>
  return typeof jkt === 'string' && /^[A-Za-z0-9_-]{43}$/.test(jkt) && Object.keys(others).length === 0
}
const isAudience = (value: unknown): value is string | string[] => isText(value) || isTexts(value)

const REQUIRED = ['sub', 'client_id', 'jti'] as const
/** Whoever reads `claims.roles.includes(…)` must not be handed a text that includes it too. */
const OPTIONAL = [
  ['sid', isText],
  ['scope', isText],
  ['roles', isTexts],
  ['auth_time', isTime],
  ['amr', isTexts],
  ['acr', isText],
  ['cnf', isBinding],
] as const

function wrong(name: string, value: unknown): VerificationError {
  const what = value === undefined ? 'is missing' : `cannot be ${quote(value)}`
  return new VerificationError('claim', `the claim ${name} ${what}`)
}

function ago(seconds: number): string {
  return `${Math.round(seconds)} s`
}
