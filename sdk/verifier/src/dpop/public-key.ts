import { base64url } from 'jose'
import { isBase64url } from '../jws.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { sha256 } from './hash.ts'

type Members = Record<string, unknown>

export interface PublicKey {
  algorithm: Algorithm
  /** The members that make the key, in the order of RFC 7638 §3.2. */
  jwk: Record<string, string>
}

/** Of private and of symmetric keys. Who sends one has given it away, and it is refused whatever it holds. */
const SECRET = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const
const RSA_BITS = { least: 2048, most: 4096 }

/**
 * Reads the key that a proof brings along.
 * @param alg of the same header: the key has to be one for it.
 * @throws Error
 */
export function readPublicKey(jwk: unknown, alg: unknown): PublicKey {
  const algorithm = ALGORITHMS.get(alg)
  if (!algorithm) throw new Error('the algorithm is none of those for proofs')
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) throw new Error('jwk is no object')
  const key = jwk as Members
  for (const name of SECRET) if (Object.hasOwn(key, name)) throw new Error(`jwk has the member ${name}`)
  if (key.kty !== algorithm.kty) throw new Error('jwk is no key for the algorithm')
  checkPurpose(key, alg)
  return { algorithm, jwk: algorithm.kty === 'RSA' ? readRsa(key) : readCurve(key, algorithm) }
}

/** A key for something else proves nothing here (RFC 7517 §4.2 to §4.4). */
function checkPurpose({ use, alg: own, key_ops: operations }: Members, alg: unknown): void {
  if (use !== undefined && use !== 'sig') throw new Error('jwk is for another use')
  if (own !== undefined && own !== alg) throw new Error('jwk is for another algorithm')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    throw new Error('jwk is not to verify')
  }
}

function readCurve({ crv, x, y }: Members, algorithm: Algorithm): PublicKey['jwk'] {
  const { kty, crv: expected = '', length = 0 } = algorithm
  if (crv !== expected) throw new Error('jwk is on another curve')
  const isCoordinate = (value: unknown): value is string =>
    typeof value === 'string' && value.length === length && isBase64url(value)
  if (!isCoordinate(x)) throw new Error('jwk has no x of its length')
  if (kty === 'OKP') return { crv: expected, kty, x }
  if (!isCoordinate(y)) throw new Error('jwk has no y of its length')
  return { crv: expected, kty, x, y }
}

function readRsa({ e, n }: Members): PublicKey['jwk'] {
  // With an exponent of 1, anybody can sign.
  if (e !== 'AQAB') throw new Error('jwk has an exponent other than 65537')
  if (typeof n !== 'string' || !isBase64url(n)) throw new Error('jwk has no modulus')
  const bytes = base64url.decode(n)
  // Zeros in front would make it another spelling, with another thumbprint.
  const bits = bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24
  if (bytes[0] === 0 || bits < RSA_BITS.least || bits > RSA_BITS.most)
    throw new Error('jwk has a modulus of another size')
  return { e, kty: 'RSA', n }
}

/** RFC 7638, with SHA-256. */
export function thumbprint({ jwk }: PublicKey): string | Promise<string> {
  return sha256(JSON.stringify(jwk))
}

/** @throws Error if it is no point of its curve. */
export async function importKey({ jwk, algorithm }: PublicKey): Promise<CryptoKey> {
  return await crypto.subtle.importKey('jwk', jwk, algorithm.importing, false, ['verify'])
}
