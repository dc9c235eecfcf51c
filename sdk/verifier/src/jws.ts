import { base64url } from 'jose'
import { quote, VerificationError } from './errors.ts'

/** The signature may be empty, so that "alg": "none" is reported as such. */
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/
/**
 * Header parameters that bring a key, say where to get one, or change how the rest is read (RFC 8725 §3.10): an
 * attacker could have a token verified with a key of its own. They are refused, whatever they hold. Others are ignored
 * (RFC 7515 §4), so that the issuer may add some.
 */
const FORBIDDEN = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc'] as const

/** `fatal` refuses bad bytes instead of replacing them. `ignoreBOM` keeps a byte order mark, which is not valid JSON. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What the issuer signs: access tokens, and the messages of the feed. `typ` tells them apart. */
export interface Kind {
  /** For messages of errors. */
  name: string
  typ: string
  isType(typ: unknown): boolean
  maxLength: number
}

/**
 * Checks the spelling of a compact JWS, as far as that goes without a key.
 * @returns its header, still encoded.
 * @throws VerificationError
 */
export function checkSpelling(jws: unknown, { name, maxLength }: Pick<Kind, 'name' | 'maxLength'>): string {
  if (typeof jws !== 'string') throw malformed(`the ${name} is not a string`)
  if (jws.length > maxLength) throw malformed(`the ${name} has ${jws.length} characters`)
  if (!SHAPE.test(jws)) throw malformed(`the ${name} is not three parts in base64url`)
  const first = jws.indexOf('.')
  const last = jws.lastIndexOf('.')
  if (!isCanonical(jws, 0, first) || !isCanonical(jws, first + 1, last) || !isCanonical(jws, last + 1, jws.length)) {
    throw malformed(`a part of the ${name} is not spelled as base64url spells it`)
  }
  return jws.slice(0, first)
}

/** @returns the `kid`. @throws VerificationError */
export function readKid(encoded: string, { typ: expected, isType }: Kind): string {
  const header = parseObject(base64url.decode(encoded), 'header')
  for (const name of FORBIDDEN) {
    if (Object.hasOwn(header, name)) throw new VerificationError('header', `the header has the parameter ${name}`)
  }
  const { alg, typ, kid } = header
  if (alg !== 'RS256') throw new VerificationError('alg', `the algorithm is ${quote(alg)}, not RS256`)
  if (!isType(typ)) throw new VerificationError('typ', `the type is ${quote(typ)}, not ${expected}`)
  if (typeof kid !== 'string') throw new VerificationError('kid', 'the header names no key')
  return kid
}

/** @throws VerificationError */
export function readPayload(bytes: Uint8Array): Record<string, unknown> {
  return parseObject(bytes, 'payload')
}

/** Whether it is base64url, in the one spelling of its bytes. */
export function isBase64url(text: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(text) && isCanonical(text, 0, text.length)
}

/**
 * The last character may have spare bits, and then several spellings mean the same bytes (RFC 4648 §3.5). Only the
 * issuer's own spelling, with zeros there, is accepted, so that a list of revoked tokens by text cannot be evaded.
 */
function isCanonical(text: string, from: number, to: number): boolean {
  const spare = (to - from) % 4
  if (spare === 0) return true
  const last = text.charAt(to - 1)
  return spare === 2 ? 'AQgw'.includes(last) : spare === 3 && 'AEIMQUYcgkosw048'.includes(last)
}

/** @param part for messages of errors. @throws VerificationError `malformed`. */
export function parseObject(bytes: Uint8Array, part: string): Record<string, unknown> {
  let text: string
  let value: unknown
  try {
    text = decoder.decode(bytes)
    value = JSON.parse(text)
  } catch {
    // The message of the parser is dropped, because it quotes the text.
    throw malformed(`the ${part} is not JSON`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(`the ${part} is not an object`)
  if (countColons(text) !== countMembers(value)) throw malformed(`the ${part} has a name twice`)
  return value as Record<string, unknown>
}

/** Of the object, and of those within it. */
function countMembers(value: object): number {
  let count = Array.isArray(value) ? 0 : Object.keys(value).length
  for (const each of Object.values(value) as unknown[]) {
    if (typeof each === 'object' && each !== null) count += countMembers(each)
  }
  return count
}

/**
 * Of repeated members, `JSON.parse` silently keeps the last, but a gateway in front of this service may have read the first. In
 * valid JSON, every member has one colon outside of strings.
 */
function countColons(json: string): number {
  let count = 0
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at)
    if (code === QUOTE) {
      do {
        at = json.indexOf('"', at + 1)
      } while (isEscaped(json, at))
    } else if (code === COLON) count++
  }
  return count
}

const [QUOTE, COLON, BACKSLASH] = [0x22, 0x3a, 0x5c]

/** Whether an odd number of backslashes stands before it. */
function isEscaped(json: string, at: number): boolean {
  let first = at
  while (json.charCodeAt(first - 1) === BACKSLASH) first--
  return (at - first) % 2 === 1
}

function malformed(message: string): VerificationError {
  return new VerificationError('malformed', message)
}
