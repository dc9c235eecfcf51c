import { hash, timingSafeEqual } from 'node:crypto'
import { hmac, type KeyList, type ServerKeys } from '../config/secrets.ts'
import { randomBytes } from '../random.ts'
import { uuidOf } from '../uuid.ts'

/**
 * The refresh token is `rt1_` and base64url of 69 bytes. The length leaves no spare bits in the encoding, so each token
 * has exactly one spelling:
 *
 *     key id 1 | family 16 | generation 4 | secret 32 | tag 16
 *
 * The tag is an HMAC under a server key. Thanks to it, garbage and forgeries are refused without a query, an old token of
 * any age is recognised without a history, and knowing a `sid` is not enough to end that session.
 */
const PREFIX = 'rt1_'
const FORM = /^rt1_[A-Za-z0-9_-]{92}$/
const TAGGED = 53
const LENGTH = 69
const FAMILY = Buffer.from('claviger/family')

/** A refresh token whose tag proves that we made it. It may be an old one, and its family may have ended. */
export interface AuthenticToken {
  /** 128 random bits that the tokens of a family share and that exist nowhere else. */
  handle: Buffer
  /** Id of the family, a UUID: the `sid` of access tokens. */
  family: string
  generation: number
  secret: Buffer
  /** SHA-256 of the token as text. */
  hash: Buffer
}

/** The first token of a new family, with a random secret. */
export function mintFirst(keys: KeyList): { token: string; family: string } {
  const handle = randomBytes(16)
  return { token: encode(keys[0], handle, 0, randomBytes(32)), family: familyOf(handle) }
}

/**
 * The token that follows `presented`. Its secret is derived from the presented secret, a server key and a salt in the
 * family's row. A retry can therefore be answered with the same successor although no token is stored, and somebody who
 * has stolen the database or the server key, but not a token, can derive nothing.
 */
export function mintSuccessor(keys: ServerKeys, presented: AuthenticToken, generation: number, salt: Buffer): string {
  const secret = hmac(keys.refreshNext, 'rt-next', presented.handle, salt, presented.secret)
  return encode(keys, presented.handle, generation, secret)
}

/**
 * Derives the successor again and returns it if it has this hash. Every server key is tried, because CLAVIGER_SECRET
 * may have gained an entry since the successor was made.
 */
export function mintSuccessorAgain(
  keys: KeyList,
  presented: AuthenticToken,
  { generation, salt, hash }: { generation: number; salt: Buffer; hash: Buffer },
): string | undefined {
  return keys
    .map((key) => mintSuccessor(key, presented, generation, salt))
    .find((token) => hashToken(token).equals(hash))
}

/** The column is a signed 32-bit integer, and each generation must leave room for its successor. */
const LAST_GENERATION = 2 ** 31 - 2

/** @returns undefined for a token that is malformed, not made under any of our keys, or of an impossible generation. */
export function authenticateToken(keys: KeyList, text: string): AuthenticToken | undefined {
  if (!FORM.test(text)) return undefined
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
  const tagged = bytes.subarray(0, TAGGED)
  const tag = bytes.subarray(TAGGED, LENGTH)
  const ours = keys.some((key) => key.id === bytes[0] && timingSafeEqual(tagOf(key, tagged), tag))
  const generation = bytes.readUInt32BE(17)
  if (!ours || generation > LAST_GENERATION) return undefined
  const handle = bytes.subarray(1, 17)
  return {
    handle,
    family: familyOf(handle),
    generation,
    secret: bytes.subarray(21, TAGGED),
    hash: hashToken(text),
  }
}

/** The only form in which a token is stored. */
export function hashToken(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

function encode(keys: ServerKeys, handle: Buffer, generation: number, secret: Buffer): string {
  const bytes = Buffer.alloc(LENGTH)
  bytes[0] = keys.id
  handle.copy(bytes, 1)
  bytes.writeUInt32BE(generation, 17)
  secret.copy(bytes, 21)
  tagOf(keys, bytes.subarray(0, TAGGED)).copy(bytes, TAGGED)
  return PREFIX + bytes.toString('base64url')
}

function tagOf(keys: ServerKeys, tagged: Buffer): Buffer {
  return hmac(keys.refreshTag, 'rt-tag', tagged).subarray(0, LENGTH - TAGGED)
}

/**
 * The id of a family is a hash of the handle in its tokens (a UUID of version 8, RFC 9562 §5.8). The id is public, as
 * the `sid` of every access token, but the handle cannot be computed from it. So an attacker who knows an id and has
 * stolen the server key still cannot forge a token of that family, neither a newer one to take it over nor an old one
 * to end it.
 */
function familyOf(handle: Buffer): string {
  const id = hash('sha256', Buffer.concat([FAMILY, handle]), 'buffer').subarray(0, 16)
  id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x80, 6)
  id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8)
  return uuidOf(id)
}
