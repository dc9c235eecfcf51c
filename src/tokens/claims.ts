/** Claims of an access token (RFC 9068 §2.2). Times are seconds since the epoch. No personal data. */
export type AccessTokenClaims = SessionClaims | ServiceClaims

interface CommonClaims {
  iss: string
  sub: string
  aud: string | string[]
  client_id: string
  iat: number
  exp: number
  /** 128 random bits. */
  jti: string
  /** The key that the sender must prove (RFC 9449 §6.1): its RFC 7638 thumbprint. Absent from tokens that anybody may send. */
  cnf?: { jkt: string }
  [custom: string]: unknown
}

/** Of somebody who is signed in. */
export interface SessionClaims extends CommonClaims {
  sid: string
  scope: string
  auth_time: number
  amr: string[]
  roles: string[]
}

/** Of a service, which acts for itself: `sub` is its `client_id`, which is no user’s id, and nobody has signed in. */
export interface ServiceClaims extends CommonClaims {
  sid?: undefined
  /** Absent if it may do nothing that has a name. */
  scope?: string
}

/**
 * Claims that verifiers act on, whether or not we set them. A custom `nbf` would make tokens that nobody accepts yet; a
 * custom `act` or `cnf` would claim a delegation or a key binding that never took place.
 */
const RESERVED: ReadonlySet<string> = new Set(
  [
    // RFC 7519 §4.1
    'iss sub aud exp nbf iat jti',
    // RFC 9068 §2.2, RFC 8693 §4, RFC 7800 §3.1, RFC 9396 §9.1
    'client_id sid scope auth_time amr acr roles act may_act cnf authorization_details',
    // OpenID Connect Core §2 and §3.3.2.11, RFC 8417 §2.2
    'azp nonce at_hash c_hash s_hash events',
    // Members of an introspection response (RFC 7662 §2.2), which stand beside the claims there.
    'active token_type',
    // Names through which code that copies objects carelessly reaches `Object.prototype`.
    '__proto__ constructor prototype',
  ].flatMap((names) => names.split(' ')),
)

/** Whether operators may set a claim of this name. */
export function isReserved(name: string): boolean {
  return RESERVED.has(name)
}

/** Drops reserved names once more at issue: somebody who writes to the table directly bypasses the check on input. */
export function withoutReserved(claims: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !isReserved(name)))
}
