import { createHash, timingSafeEqual } from 'node:crypto'
import { DAY } from '../durations.ts'
import { randomBytes } from '../random.ts'
import type { ServiceAuth } from './registration.ts'

/** A secret of a service client, as it is stored. */
export interface StoredSecret {
  id: string
  /** SHA-256 of the whole text. */
  hash: Buffer
  createdAt: Date
  expiresAt: Date
  lastUsedAt: Date | null
}

/** Known to scanners of repositories, as `ghp_` is. */
const PREFIX = 'cvs1_'
const RANDOM_BYTES = 32
/** With it, a scanner tells a secret from any other text that begins so, without asking anybody. */
const CHECKSUM_BYTES = 4
export const SECRET_LIFETIME_MS = 365 * DAY

/** A new secret, which is shown once and never stored. */
export function mintSecret(): { text: string; hash: Buffer } {
  const random = randomBytes(RANDOM_BYTES)
  const text = `${PREFIX}${Buffer.concat([random, checksumOf(random)]).toString('base64url')}`
  return { text, hash: hashSecret(text) }
}

export function hashSecret(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Which of the live secrets a text is. Compares with all of them in constant time. */
export function matchSecret(secrets: readonly StoredSecret[], text: string): StoredSecret | undefined {
  const hash = hashSecret(text)
  return secrets.filter((secret) => timingSafeEqual(secret.hash, hash))[0]
}

function checksumOf(random: Buffer): Buffer {
  return createHash('sha256').update(random).digest().subarray(0, CHECKSUM_BYTES)
}

/** Whether a service has secrets at all. */
export function provesBySecret({ method }: ServiceAuth): boolean {
  return method === 'client_secret_basic' || method === 'client_secret_post'
}
