import { compactVerify } from 'jose'
import { parseObject } from '../../json-text.ts'
import type { VerifyingKey } from './keys.ts'

/** Symmetric algorithms are not among them: a published key would be the secret. */
export const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']
const TYPES = new Set<unknown>([undefined, 'JWT', 'jwt', 'client-authentication+jwt'])
/** Of a certificate that the issuer has besides; it is not asked for the key. */
const PASSED_OVER = ['x5t', 'x5t#S256']
const LONGEST = 8192
const LONGEST_KID = 200
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** A JWT as it was sent (RFC 7523 §2.2). Nothing in it is proved before its signature is. */
export interface Assertion {
  text: string
  header: { alg: string; kid: string | undefined }
  claims: Readonly<Record<string, unknown>>
}

/** @returns undefined for what is no JWT, or has a header that names a key, critical extensions or anything unknown. */
export function readAssertion(text: string): Assertion | undefined {
  if (text.length > LONGEST || !SHAPE.test(text)) return undefined
  const [header, claims] = text.split('.').slice(0, 2).map(parsePart)
  if (!header || !claims) return undefined
  // An allowlist, so that `jwk`, `jku`, `x5c`, `x5u`, `crit` and `b64` are refused, whatever their value (RFC 8725 §3.10).
  const { alg, kid, typ, ...others } = header
  if (typeof alg !== 'string' || !ALGORITHMS.includes(alg) || !TYPES.has(typ)) return undefined
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > LONGEST_KID)) return undefined
  if (Object.keys(others).some((name) => !PASSED_OVER.includes(name))) return undefined
  return { text, header: { alg, kid }, claims }
}

function parsePart(part: string): Record<string, unknown> | undefined {
  try {
    return parseObject(Buffer.from(part, 'base64url'))
  } catch {
    return undefined
  }
}

export async function isSignedBy({ text, header }: Assertion, key: VerifyingKey): Promise<boolean> {
  try {
    await compactVerify(text, key.publicKey, { algorithms: [header.alg] })
    return true
  } catch {
    return false
  }
}
