import { createPublicKey } from 'node:crypto'
import { parseJson } from '../json-text.ts'
import { LARGEST_KEY_BITS } from '../keys/material.ts'
import { ClientRefused, type Fault } from './refused.ts'
import type { KeySet } from './registration.ts'

const MOST_KEYS = 10
/** What a private or symmetric key has, and a public one has not (RFC 7518 §6). */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const LONGEST_KID = 200
const CURVES = ['P-256', 'P-384', 'P-521']
const ALGORITHMS = { RSA: /^[RP]S(256|384|512)$/, EC: /^ES(256|384|512)$/ }

/**
 * Reads the public keys of a service: a JWK Set (RFC 7517 §5), or one key.
 * @throws ClientRefused, which quotes nothing of the text.
 */
export function readKeySet(text: string): KeySet {
  const fault = (message: string) => new ClientRefused('invalid', [{ about: 'jwks', message }])
  if (text.includes('-----BEGIN ')) throw fault('must be JSON, not PEM: a JWK Set, or one JWK')
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  const json = parsed(text)
  const keys = isObject(json) ? ('keys' in json ? json.keys : [json]) : undefined
  if (!Array.isArray(keys) || !keys.every(isObject)) throw fault('must be a JWK Set, or one JWK, as JSON')
  return { keys }
}

function parsed(text: string): unknown {
  try {
    return parseJson(Buffer.from(text))
  } catch {
    return undefined
  }
}

/** Of the keys with which a service signs. */
export function keySetFaults({ keys }: KeySet): Fault[] {
  const faults: Fault[] = keys.flatMap((key, index) => {
    const message = faultOfKey(key)
    return message === undefined ? [] : [{ about: 'jwks' as const, message: `key ${index + 1}: ${message}` }]
  })
  const kids = keys.map(({ kid }) => kid)
  if (keys.length === 0 || keys.length > MOST_KEYS)
    faults.push({ about: 'jwks', message: `must hold 1 to ${MOST_KEYS} keys` })
  else if (keys.length > 1 && (kids.some((kid) => typeof kid !== 'string') || new Set(kids).size < kids.length))
    faults.push({ about: 'jwks', message: 'must give each of several keys a kid of its own' })
  return faults
}

/** Why no signature of a service is verified by a key. */
export function faultOfKey(key: Record<string, unknown>): string | undefined {
  if (SECRET_MEMBERS.some((name) => name in key))
    return 'is private: register the public half alone, and count this key as leaked if others have seen it'
  const { kty, crv, use = 'sig', alg, kid, key_ops: operations } = key
  if (kty !== 'RSA' && kty !== 'EC') return 'must be of kty RSA or EC'
  if (kty === 'EC' && !CURVES.includes(String(crv))) return `must be on one of the curves ${CURVES.join(', ')}`
  if (use !== 'sig') return 'must be for signatures (use: sig)'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'must be for verifying (key_ops)'
  if (alg !== undefined && !(typeof alg === 'string' && ALGORITHMS[kty].test(alg)))
    return 'must have an alg that fits: RS, PS or ES with 256, 384 or 512'
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID))
    return 'must have a text as its kid'
  return strengthFault(key)
}

function strengthFault(key: Record<string, unknown>): string | undefined {
  try {
    const { modulusLength: bits } = createPublicKey({ key, format: 'jwk' }).asymmetricKeyDetails ?? {}
    if (bits === undefined) return undefined
    if (bits < 2048) return `has ${bits} bits: at least 2048 are needed`
    return bits > LARGEST_KEY_BITS ? `has ${bits} bits: ${LARGEST_KEY_BITS} at most are accepted` : undefined
  } catch {
    return 'is not a public key'
  }
}
