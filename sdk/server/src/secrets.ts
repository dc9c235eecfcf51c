import { type Bytes, toUtf8 } from './bytes.ts'

const BYTES = 32
const ADVICE = 'must be 32 random bytes or more in base64; openssl rand -base64 32 makes one'

/**
 * Reads the site's secrets, newest first, as keys from which others are derived.
 * @param given a list, or one text separated by commas, as in an environment variable.
 * @throws TypeError that names the entry without quoting it.
 */
export function readSecrets(given: string | readonly string[]): Promise<CryptoKey>[] {
  const items = (typeof given === 'string' ? given.split(',') : given).map((item) => item.trim())
  if (items.length === 0) throw new TypeError(`secret ${ADVICE}`)
  const all = items.map((item, index) => {
    const bytes = decode(item)
    const name = items.length > 1 ? `secret, entry ${index + 1},` : 'secret'
    if (!bytes || bytes.length < BYTES) throw new TypeError(`${name} ${ADVICE}`)
    if (new Set(bytes).size < 12) throw new TypeError(`${name} is not random; openssl rand -base64 32 makes one`)
    return bytes
  })
  return all.map((bytes) => crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveBits']))
}

function decode(text: string): Bytes | undefined {
  if (!/^[\w+/-]+={0,2}$/.test(text)) return undefined
  try {
    const standard = text.replaceAll('-', '+').replaceAll('_', '/')
    return Uint8Array.from(atob(standard), (char) => char.charCodeAt(0))
  } catch {
    return undefined
  }
}

/** HKDF (RFC 5869). @param info the purpose of the bytes: each purpose gets different ones. */
export async function derive(secret: CryptoKey, salt: Bytes, info: string, bytes: number): Promise<Bytes> {
  const how = { name: 'HKDF', hash: 'SHA-256', salt, info: toUtf8(info) }
  return new Uint8Array(await crypto.subtle.deriveBits(how, secret, bytes * 8))
}
