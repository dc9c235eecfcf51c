import { createPublicKey, type KeyObject } from 'node:crypto'
import { faultOfKey } from '../../clients/key-set.ts'

/** A key that assertions may be signed by. */
export interface VerifyingKey {
  kid: string | undefined
  /** The only algorithm that it is for, if it says so. */
  alg: string | undefined
  publicKey: KeyObject
}

/** The rest would be the work of whoever publishes the set, at each reading. */
const MOST_KEYS = 100

/**
 * The usable keys of a JWK Set (RFC 7517 §5). Others are passed over: symmetric ones, private ones, which everybody can read
 * who can read the set, and those for encryption.
 * @returns undefined for what is no set, or too large a one.
 */
export function usableKeys(value: unknown): VerifyingKey[] | undefined {
  const { keys } = (typeof value === 'object' && value !== null ? value : {}) as { keys?: unknown }
  if (!Array.isArray(keys) || keys.length > MOST_KEYS) return undefined
  return keys.flatMap((key: unknown) => (isObject(key) && faultOfKey(key) === undefined ? [verifyingKey(key)] : []))
}

/** @param key without a fault. */
function verifyingKey(key: Record<string, unknown>): VerifyingKey {
  const { kid, alg } = key as { kid?: string; alg?: string }
  return { kid, alg, publicKey: createPublicKey({ key, format: 'jwk' }) }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** RFC 7518 §3.4: the curve follows from the algorithm. */
const CURVES: Record<string, string> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }

/**
 * The key that a header means. Without a `kid` it is the only one that fits: trying one after the other would let the caller
 * choose how much work that is.
 */
export function chooseKey(
  keys: readonly VerifyingKey[],
  { alg, kid }: { alg: string; kid: string | undefined },
): VerifyingKey | undefined {
  const fitting = keys.filter((key) => fits(key, alg) && (kid === undefined || key.kid === kid))
  return fitting.length === 1 ? fitting[0] : undefined
}

function fits(key: VerifyingKey, alg: string): boolean {
  if (key.alg !== undefined && key.alg !== alg) return false
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key.publicKey
  return alg in CURVES ? type === 'ec' && details?.namedCurve === CURVES[alg] : type === 'rsa'
}
