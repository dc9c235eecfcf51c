import { timingSafeEqual } from 'node:crypto'
import { hmac, type KeyList, type ServerKeys } from '../config/secrets.ts'
import { DAY } from '../durations.ts'
import { randomBytes } from '../random.ts'
import { bytesOfUuid, uuidOf } from '../uuid.ts'

/**
 * The device token is `dt1_` and base64url of 54 bytes, which leaves no spare bits in the encoding:
 *
 *     key id 1 | device 16 | user 16 | seconds since 1970 5 | tag 16
 *
 * It says that a user has signed in on this device before, and is no credential: without the password it is good for
 * nothing but a counter of failures of its own. The tag is an HMAC under a server key, so no table has to hold devices.
 */
const PREFIX = 'dt1_'
const FORM = /^dt1_[A-Za-z0-9_-]{72}$/
const TAGGED = 38
const LENGTH = 54

/** How long a device stays known after its last sign-in. */
export const DEVICE_LIFETIME = 365 * DAY

export interface Device {
  /** 128 random bits. */
  id: Buffer
  /** The user who has signed in on it. */
  userId: string
  /** The token that says so. */
  token: string
}

/** @param id of a device that is known already; otherwise it is a new one. */
export function mintDevice(keys: KeyList, now: Date, userId: string, id = randomBytes(16)): string {
  const bytes = Buffer.alloc(LENGTH)
  bytes[0] = keys[0].id
  id.copy(bytes, 1)
  bytesOfUuid(userId).copy(bytes, 17)
  bytes.writeUIntBE(Math.floor(now.getTime() / 1000), 33, 5)
  tagOf(keys[0], bytes.subarray(0, TAGGED)).copy(bytes, TAGGED)
  return PREFIX + bytes.toString('base64url')
}

/** @returns undefined for a token that is malformed, not made under any of our keys, or too old. */
export function authenticateDevice(keys: KeyList, now: Date, token: string): Device | undefined {
  if (!FORM.test(token)) return undefined
  const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
  const tagged = bytes.subarray(0, TAGGED)
  const tag = bytes.subarray(TAGGED)
  const ours = keys.some((key) => key.id === bytes[0] && timingSafeEqual(tagOf(key, tagged), tag))
  const age = now.getTime() - bytes.readUIntBE(33, 5) * 1000
  if (!ours || age >= DEVICE_LIFETIME) return undefined
  return { id: bytes.subarray(1, 17), userId: uuidOf(bytes.subarray(17, 33)), token }
}

function tagOf(keys: ServerKeys, tagged: Buffer): Buffer {
  return hmac(keys.deviceTag, 'dt-tag', tagged).subarray(0, LENGTH - TAGGED)
}
