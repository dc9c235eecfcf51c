import { compactVerify } from 'jose'
import type { Keyring } from '../keys/keyring.ts'
import type { AccessTokenClaims } from './claims.ts'

/** What is wrong with a token: a claim, or what comes before the claims. */
type Fault = 'shape' | 'header' | 'kid' | 'encoding' | 'signature' | 'claims' | 'iss' | 'exp' | 'iat' | 'nbf' | 'aud'

/** Told apart by a member of ours: a claim may have any name. */
export type Verified = { kind: 'accepted'; claims: AccessTokenClaims } | { kind: 'refused'; reason: Fault }

const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const MAX_LENGTH = 8192
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Verifies an access token of ours (RFC 9068 §4) in the order cheap to dear: shape, header, signature, claims. Whether
 * its session still stands and its audience belongs to its client is for the caller to look up.
 */
export async function verifyAccessToken(keyring: Keyring, token: string, issuer: string, now: Date): Promise<Verified> {
  if (token.length > MAX_LENGTH || !SHAPE.test(token)) return refused('shape')
  const header = readHeader(token)
  if (!header) return refused('header')
  const key = /^[A-Za-z0-9_-]{43}$/.test(header.kid) ? keyring.publicKey(header.kid) : undefined
  if (!key) return refused('kid')
  // base64url has spare bits at the end: only one spelling of a signature is the one we made.
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

/** Replicas take the time from one database, so an expired token needs no leeway here; this forgives an unsynchronised minute. */
const MAX_AHEAD_SECONDS = 60
/** Of ACCESS_TOKEN_SECONDS, whatever it was when the token was issued. */
const LONGEST_LIFE_SECONDS = 3600

/** A key that was imported may sign elsewhere too: what no setting of ours would have issued is not believed. */
function faultOf(claims: Record<string, unknown>, issuer: string, now: number): Fault | undefined {
  const { iss, iat, exp, nbf } = claims
  if (iss !== issuer) return 'iss'
  if (!isTime(exp) || now >= exp) return 'exp'
  if (!isTime(iat) || iat > now + MAX_AHEAD_SECONDS) return 'iat'
  if (exp <= iat || exp - iat > LONGEST_LIFE_SECONDS) return 'exp'
  if (nbf !== undefined && (!isTime(nbf) || nbf > now)) return 'nbf'
  const texts = ['sub', 'client_id', 'sid', 'jti', 'scope'] as const
  if (texts.some((name) => typeof claims[name] !== 'string')) return 'claims'
  if (typeof claims.aud !== 'string' && !Array.isArray(claims.aud)) return 'aud'
  return undefined
}

/** We issue whole seconds; beyond 2^53 there is no telling one from the next. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

function refused(reason: Fault): Verified {
  return { kind: 'refused', reason }
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
