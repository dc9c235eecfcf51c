import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import type { UnverifiedProof } from '../proven-key.ts'
import { bytesOf } from './base64url.ts'

type Algorithm = UnverifiedProof['alg']

/** A public key as a proof states it, checked for its form. Whether it is a point of its curve, only `importKey` sees. */
export interface StatedKey {
  /** The required members (RFC 7638 §3.2), in the order of their names. */
  jwk: Record<string, string>
  /** RFC 7638 thumbprint. */
  jkt: string
  /** Bytes that a signature under it has. */
  signatureLength: number
}

/** Members of private and symmetric keys (RFC 7518 §6), whatever their value: whoever sends one has leaked the key. */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
/** Bytes of a coordinate (RFC 7518 §6.2.1.2). */
const CURVES: Partial<Record<Algorithm, { crv: string; bytes: number }>> = {
  ES256: { crv: 'P-256', bytes: 32 },
  ES384: { crv: 'P-384', bytes: 48 },
  ES512: { crv: 'P-521', bytes: 66 },
}
/** The cost of a verification grows with the square of the modulus, and strangers choose it. */
const RSA_BITS = { least: 2048, most: 4096 }
/** 65537, which everybody uses: the cost grows with the exponent too, and small ones invite forgeries. */
const EXPONENT = 'AQAB'

/** @returns undefined if it is not one public key that fits the algorithm, in the one spelling that it has. */
export function readKey(stated: unknown, alg: Algorithm): StatedKey | undefined {
  if (typeof stated !== 'object' || stated === null || Array.isArray(stated)) return undefined
  const members = stated as Record<string, unknown>
  if (PRIVATE.some((name) => Object.hasOwn(members, name)) || !isFor(members, alg)) return undefined
  const curve = CURVES[alg]
  if (curve) return ellipticKey(members, curve)
  return alg === 'PS256' || alg === 'RS256' ? rsaKey(members) : edwardsKey(members)
}

/** What the key says that it is for (RFC 7517 §4), if it says so. */
function isFor({ use, alg, key_ops: operations }: Record<string, unknown>, expected: Algorithm): boolean {
  return (
    (use === undefined || use === 'sig') &&
    (alg === undefined || alg === expected) &&
    (operations === undefined || (Array.isArray(operations) && operations.includes('verify')))
  )
}

function ellipticKey(
  { kty, crv, x, y }: Record<string, unknown>,
  curve: { crv: string; bytes: number },
): StatedKey | undefined {
  if (kty !== 'EC' || crv !== curve.crv) return undefined
  if (typeof x !== 'string' || typeof y !== 'string') return undefined
  if (bytesOf(x)?.length !== curve.bytes || bytesOf(y)?.length !== curve.bytes) return undefined
  return keyOf({ crv, kty, x, y }, 2 * curve.bytes)
}

function edwardsKey({ kty, crv, x }: Record<string, unknown>): StatedKey | undefined {
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string' || bytesOf(x)?.length !== 32) return undefined
  return keyOf({ crv, kty, x }, 64)
}

function rsaKey({ kty, e, n }: Record<string, unknown>): StatedKey | undefined {
  if (kty !== 'RSA' || e !== EXPONENT || typeof n !== 'string') return undefined
  const modulus = bytesOf(n)
  const first = modulus?.[0]
  // A leading zero would be a second spelling of the same key.
  if (!modulus || first === undefined || first === 0) return undefined
  const bits = modulus.length * 8 - (Math.clz32(first) - 24)
  if (bits < RSA_BITS.least || bits > RSA_BITS.most) return undefined
  return keyOf({ e, kty, n }, modulus.length)
}

function keyOf(jwk: Record<string, string>, signatureLength: number): StatedKey {
  return { jwk, jkt: hash('sha256', JSON.stringify(jwk), 'base64url'), signatureLength }
}

/** @returns undefined for a point that is not on its curve. */
export function importKey(jwk: UnverifiedProof['jwk']): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...jwk }, format: 'jwk' })
  } catch {
    return undefined
  }
}
