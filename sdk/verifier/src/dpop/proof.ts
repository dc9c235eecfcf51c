import { base64url } from 'jose'
import { quote } from '../errors.ts'
import { checkSpelling, parseObject } from '../jws.ts'
import { type PublicKey, readPublicKey } from './public-key.ts'
import { normalise } from './target.ts'

const PROOF = { name: 'proof', maxLength: 4096 }
/**
 * Nothing else may stand there. What brings or names another key, asks to be understood, or changes how the rest is read would
 * have to be refused one by one.
 */
const HEADER = new Set(['typ', 'alg', 'jwk', 'kid'])
const MAX_JTI = 256

export interface Expected {
  method: string
  /** As `normalise` has it. */
  url: string | undefined
  /** SHA-256 of the token, in base64url. */
  ath: string
  /** Seconds since the epoch. */
  now: number
  /** By how many seconds `iat` may differ. */
  maxAge: number
}

/** @returns the header of a proof, still encoded. @throws VerificationError */
export function splitProof(text: unknown): string {
  return checkSpelling(text, PROOF)
}

/** @returns the key that it brings. @throws VerificationError `malformed`; Error. */
export function readProofHeader(encoded: string): PublicKey {
  const header = parseObject(base64url.decode(encoded), 'header of the proof')
  for (const name of Object.keys(header)) {
    if (!HEADER.has(name)) throw new Error(`the header has the parameter ${quote(name)}`)
  }
  if (header.typ !== 'dpop+jwt') throw new Error(`the type is ${quote(header.typ)}, not dpop+jwt`)
  return readPublicKey(header.jwk, header.alg)
}

/**
 * What can be checked without a signature (RFC 9449 §4.3).
 * @returns what makes it one of its kind, and its time.
 * @throws VerificationError `malformed`; Error.
 */
export function checkProofClaims(proof: string, expected: Expected): { jti: string; iat: number } {
  const encoded = proof.slice(proof.indexOf('.') + 1, proof.lastIndexOf('.'))
  const { jti, htm, htu, iat, ath, nonce } = parseObject(base64url.decode(encoded), 'payload of the proof')
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI)
    throw new Error('jti is no text of 1 to 256 characters')
  if (htm !== expected.method) throw new Error(`it is for the method ${quote(htm)}`)
  if (typeof htu !== 'string' || expected.url === undefined || normalise(htu) !== expected.url) {
    throw new Error(`it is for the URL ${quote(htu)}`)
  }
  // Negated: with a clock that says NaN, nothing is in time.
  if (typeof iat !== 'number' || !(Math.abs(expected.now - iat) <= expected.maxAge)) {
    throw new Error(`it was made at ${quote(iat)}`)
  }
  if (ath !== expected.ath) throw new Error('it is for another token')
  if (nonce !== undefined && typeof nonce !== 'string') throw new Error('nonce is no text')
  return { jti, iat }
}
