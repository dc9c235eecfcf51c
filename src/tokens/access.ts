import { randomBytes } from 'node:crypto'
import { compactVerify } from 'jose'
import type { Keyring } from '../keys/keyring.ts'

/** Claims of an access token (RFC 9068 §2.2). Times are seconds since the epoch. No personal data. */
export interface AccessTokenClaims {
  iss: string
  sub: string
  aud: string | string[]
  client_id: string
  iat: number
  exp: number
  /** 128 random bits. */
  jti: string
  sid: string
  scope: string
  auth_time: number
  amr: string[]
  roles: string[]
  [custom: string]: unknown
}

export interface AccessTokenInput {
  issuer: string
  lifetimeSeconds: number
  userId: string
  sessionId: string
  clientId: string
  scope: readonly string[]
  audience: readonly string[]
  authTime: Date
  amr: string[]
  roles: string[]
  /** Set by operators. They never replace a claim of ours. */
  claims: Record<string, unknown>
}

export async function issueAccessToken(keyring: Keyring, now: Date, input: AccessTokenInput): Promise<string> {
  const iat = Math.floor(now.getTime() / 1000)
  const [only, ...others] = input.audience
  if (only === undefined)
    throw new Error('an access token without an audience would be accepted nowhere, or everywhere')
  const claims: AccessTokenClaims = {
    ...input.claims,
    iss: input.issuer,
    sub: input.userId,
    aud: others.length === 0 ? only : [...input.audience],
    client_id: input.clientId,
    iat,
    exp: iat + input.lifetimeSeconds,
    jti: randomBytes(16).toString('base64url'),
    sid: input.sessionId,
    scope: input.scope.join(' '),
    auth_time: Math.floor(input.authTime.getTime() / 1000),
    amr: input.amr,
    roles: input.roles,
  }
  return await keyring.sign('at+jwt', claims)
}

const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const MAX_LENGTH = 8192
/** Replicas take the time from one database, so an expired token needs no leeway here; this forgives an unsynchronised minute. */
const MAX_AHEAD_SECONDS = 60

/**
 * Verifies an access token of ours (RFC 9068 §4) in the order cheap to dear: shape, header, signature, claims. Whether
 * its session still stands and its audience belongs to its client is for the caller to look up.
 * @returns the claims, or a short word for the log that says what failed.
 */
export async function verifyAccessToken(
  keyring: Keyring,
  token: string,
  issuer: string,
  now: Date,
): Promise<AccessTokenClaims | { failed: string }> {
  if (token.length > MAX_LENGTH || !SHAPE.test(token)) return { failed: 'shape' }
  const header = readHeader(token)
  if (!header) return { failed: 'header' }
  const key = /^[A-Za-z0-9_-]{43}$/.test(header.kid) ? keyring.publicKey(header.kid) : undefined
  if (!key) return { failed: 'kid' }
  // base64url has spare bits at the end: only one spelling of a signature is the one we made.
  const signature = token.slice(token.lastIndexOf('.') + 1)
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) return { failed: 'encoding' }

  let claims: Record<string, unknown>
  try {
    const { payload } = await compactVerify(token, key, { algorithms: ['RS256'] })
    claims = JSON.parse(new TextDecoder().decode(payload))
  } catch {
    return { failed: 'signature' }
  }
  if (typeof claims !== 'object' || claims === null) return { failed: 'claims' }
  const seconds = now.getTime() / 1000
  if (claims.iss !== issuer) return { failed: 'iss' }
  if (!Number.isInteger(claims.exp) || seconds >= (claims.exp as number)) return { failed: 'exp' }
  if (!Number.isInteger(claims.iat) || (claims.iat as number) > seconds + MAX_AHEAD_SECONDS) return { failed: 'iat' }
  const texts = ['sub', 'client_id', 'sid', 'jti', 'scope'] as const
  if (texts.some((name) => typeof claims[name] !== 'string')) return { failed: 'claims' }
  if (typeof claims.aud !== 'string' && !Array.isArray(claims.aud)) return { failed: 'aud' }
  return claims as AccessTokenClaims
}

/** An allowlist: `jwk`, `jku`, `x5u`, `crit` and whatever else a header may bring are not looked at but refused. */
function readHeader(token: string): { kid: string } | undefined {
  let header: Record<string, unknown>
  try {
    header = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString())
  } catch {
    return undefined
  }
  if (typeof header !== 'object' || header === null) return undefined
  const { alg, typ, kid, ...others } = header
  if (Object.keys(others).length > 0 || alg !== 'RS256' || typeof kid !== 'string') return undefined
  if (typ !== 'at+jwt' && typ !== 'application/at+jwt') return undefined
  return { kid }
}
