import { hash } from 'node:crypto'
import { Problem, type Reason } from '../errors.ts'
import { parseObject } from '../json-text.ts'
import { PROOF_ALGORITHMS, type UnverifiedProof } from '../proven-key.ts'
import { bytesOf } from './base64url.ts'
import { readKey } from './public-key.ts'

/** What a proof has to be for. */
interface Expected {
  method: string
  /** As this server is reached by its public name, without query and fragment. */
  url: string
  /** That came with the request. */
  accessToken?: string | undefined
  now: Date
}

/** In characters. A proof under the longest key that is accepted has 1,900; strangers send them before they have proved anything. */
const MAX_LENGTH = 4096
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** RFC 9449 §11.1. Either way, because clients’ clocks are ahead as often as behind. */
const MAX_AGE_SECONDS = 60
const MAX_JTI = 256
/** In one part, where each member but the first has one. Proper parts have ten or so; with a thousand, reading takes longer than all else. */
const MAX_COMMAS = 64

/**
 * Reads a proof and checks everything but its signature (RFC 9449 §4.3), its nonce, and whether it was here before.
 * @throws Problem `invalid_dpop_proof`.
 */
export function readProof(text: string, expected: Expected): UnverifiedProof {
  if (text.length > MAX_LENGTH || !SHAPE.test(text)) refuse('proof shape')
  const [head = '', body = '', tail = ''] = text.split('.')
  const signature = bytesOf(tail)
  if (!signature) refuse('proof shape')

  // An allowlist: `crit`, `b64`, `jku`, `x5c` and whatever else would change what a proof means are refused.
  const { typ, alg, jwk, kid: _kid, ...others } = readObject(head)
  const known = PROOF_ALGORITHMS.find((name) => name === alg)
  if (typ !== 'dpop+jwt' || !known || Object.keys(others).length > 0) refuse('proof header')
  const key = readKey(jwk, known)
  if (!key) refuse('proof key')
  if (signature.length !== key.signatureLength) refuse('proof signature')

  const { jti, iat, nonce, ...claims } = readObject(body)
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI) refuse('proof claims')
  if (nonce !== undefined && typeof nonce !== 'string') refuse('proof claims')
  if (typeof iat !== 'number' || !Number.isFinite(iat)) refuse('proof claims')
  if (claims.htm !== expected.method) refuse('proof htm')
  if (!isFor(claims.htu, expected.url)) refuse('proof htu')
  if (Math.abs(expected.now.getTime() / 1000 - iat) > MAX_AGE_SECONDS) refuse('proof iat')
  if (expected.accessToken !== undefined && claims.ath !== hash('sha256', expected.accessToken, 'base64url'))
    refuse('proof ath')
  return { alg: known, jwk: key.jwk, jkt: key.jkt, jti, nonce, input: `${head}.${body}`, signature }
}

function readObject(part: string): Record<string, unknown> {
  const bytes = bytesOf(part)
  if (!bytes || bytes.toString('latin1').split(',', MAX_COMMAS + 2).length > MAX_COMMAS + 1) refuse('proof shape')
  try {
    return parseObject(bytes)
  } catch {
    return refuse('proof shape')
  }
}

/** Whether two URLs are the same but for query and fragment, which a proof does not cover. */
function isFor(htu: unknown, expected: string): boolean {
  if (typeof htu !== 'string') return false
  const [plain = ''] = htu.split(/[?#]/, 1)
  // With each letter escaped it is three times as long. Longer ones would only take long to parse.
  if (plain.length > 3 * expected.length) return false
  const url = normalUrl(plain)
  return url !== undefined && url === normalUrl(expected)
}

/**
 * Without user information. The URL parser would also mend what is no URL (RFC 3986): blanks around it, backslashes, a
 * missing slash.
 */
const PLAIN_URL = /^https?:\/\/[^/\\@\s]+(\/[^\\\s]*)?$/i

/** A URL in its normal form (RFC 3986 §6.2.2 and §6.2.3). Undefined for anything that is none. */
function normalUrl(text: string): string | undefined {
  if (!PLAIN_URL.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  return url.origin + url.pathname.replace(/%[\da-f]{2}/gi, normalEscape)
}

function normalEscape(escape: string): string {
  const letter = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(letter) ? letter : escape.toUpperCase()
}

function refuse(reason: Reason): never {
  throw new Problem('invalid_dpop_proof', { reason })
}
