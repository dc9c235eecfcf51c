import { compactVerify } from 'jose'
import type { Keyring } from '../keys/keyring.ts'
import { isThumbprint } from '../proven-key.ts'
import type { AccessTokenClaims } from './claims.ts'

/** What is wrong with a token: a claim, or what comes before the claims. */
type Fault =
  | 'shape'
  | 'header'
  | 'kid'
  | 'encoding'
  | 'signature'
  | 'claims'
  | 'iss'
  | 'exp'
  | 'iat'
  | 'nbf'
  | 'aud'
  | 'cnf'

/** `kind` tells the two apart: a claim may have any name, so no claim could. */
export type Verified = { kind: 'accepted'; claims: AccessTokenClaims } | { kind: 'refused'; reason: Fault }

const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const MAX_LENGTH = 8192
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Verifies an access token of ours (RFC 9068 §4), cheap checks first: shape, header, signature, claims. The caller looks
 * up whether the session is live and whether the audience belongs to the client.
 */
export async function verifyAccessToken(keyring: Keyring, token: string, issuer: string, now: Date): Promise<Verified> {
  if (token.length > MAX_LENGTH || !SHAPE.test(token)) return refused('shape')
  const header = readHeader(token)
  if (!header) return refused('header')
  const key = isThumbprint(header.kid) ? keyring.publicKey(header.kid) : undefined
  if (!key) return refused('kid')
  // base64url may have spare bits at the end: accept only the spelling of the signature that we made.
  const signature = token.slice(token.lastIndexOf('.') + 1)
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) return refused('encoding')

  let claims: unknown
  try {
    const { payload } = await compactVerify(token, key, { algorithms: ['RS256'] })
    claims = JSON.parse(utf8.decode(payload))
  } catch {
    return refused('signature')
  }
  if (typeof claims !== 'object' || claims === null) return refused('claims')
  const fault = faultOf(claims as Record<string, unknown>, issuer, now.getTime() / 1000)
  return fault ? refused(fault) : { kind: 'accepted', claims: claims as AccessTokenClaims }
}

/** Replicas share the database's clock, so `exp` needs no leeway here. This allows for a minute without synchronisation. */
const MAX_AHEAD_SECONDS = 60
/** The most that ACCESS_TOKEN_SECONDS can have been when the token was issued. */
const LONGEST_LIFE_SECONDS = 3600

/** An imported key may be in use elsewhere too, so a token that no settings of ours would have issued is refused. */
function faultOf(claims: Record<string, unknown>, issuer: string, now: number): Fault | undefined {
  const { iss, iat, exp, nbf } = claims
  if (iss !== issuer) return 'iss'
  if (!isTime(exp) || now >= exp) return 'exp'
  if (!isTime(iat) || iat > now + MAX_AHEAD_SECONDS) return 'iat'
  if (exp <= iat || exp - iat > LONGEST_LIFE_SECONDS) return 'exp'
  if (nbf !== undefined && (!isTime(nbf) || nbf > now)) return 'nbf'
  const texts = ['sub', 'client_id', 'jti'] as const
  if (texts.some((name) => typeof claims[name] !== 'string') || !saysWhose(claims)) return 'claims'
  if (typeof claims.aud !== 'string' && !Array.isArray(claims.aud)) return 'aud'
  if (claims.cnf !== undefined && !namesOneKey(claims.cnf)) return 'cnf'
  return undefined
}

/** Alone: with another kind of confirmation beside it (RFC 7800), the token would be bound to something that nobody checks. */
function namesOneKey(cnf: unknown): boolean {
  if (typeof cnf !== 'object' || cnf === null) return false
  const { jkt, ...others } = cnf as Record<string, unknown>
  return isThumbprint(jkt) && Object.keys(others).length === 0
}

/** A token is of a session or of a service, and nothing between: one that lost its `sid` could not be ended. */
function saysWhose({ sid, scope, sub, client_id: client, auth_time: authTime }: Record<string, unknown>): boolean {
  if (sid !== undefined) return typeof sid === 'string' && typeof scope === 'string'
  return sub === client && authTime === undefined && (scope === undefined || typeof scope === 'string')
}

/** We issue whole seconds; beyond 2^53 one second cannot be told from the next. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

function refused(reason: Fault): Verified {
  return { kind: 'refused', reason }
}

/** An allowlist: a header with `jwk`, `jku`, `x5u`, `crit` or any other parameter is refused, whatever its value. */
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
