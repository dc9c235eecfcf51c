import { type Bytes, fromBase64Url, toBase64Url, toUtf8 } from './bytes.ts'
import { derive } from './secrets.ts'

const SALT_BYTES = 24
const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16

/** Length of a sealed value: base64url of salt, ciphertext and tag. */
export const sealedLength = (plain: number): number => Math.ceil(((SALT_BYTES + plain + TAG_BYTES) * 4) / 3)

export interface Opened {
  plain: Bytes
  /** The secret that it was sealed with. */
  secret: CryptoKey
}

export interface Seal {
  /** @param place for which the value is sealed: it cannot be opened for another, so cookies cannot be swapped. */
  seal(plain: Bytes, place: string): Promise<string>
  /** @returns undefined unless this site has sealed it for this place, with a secret that it still has. */
  open(sealed: string, place: string): Promise<Opened | undefined>
}

/**
 * Seals with AES-256-GCM. Every value has its own key, derived from the secret and a random salt, so a site may seal
 * without limit, whereas random nonces under one key are safe for only 2^32 values (NIST SP 800-38D §8.3).
 * @param purpose separates this site from others that may have been given the same secret.
 */
export function createSeal(secrets: readonly Promise<CryptoKey>[], purpose: string): Seal {
  const cipherFor = async (secret: CryptoKey, salt: Bytes, place: string) => {
    const info = `claviger sealed cookie 1\n${purpose}\n${place}`
    const bits = await derive(secret, salt, info, KEY_BYTES + IV_BYTES)
    const key = await crypto.subtle.importKey('raw', bits.slice(0, KEY_BYTES), 'AES-GCM', false, ['encrypt', 'decrypt'])
    return [{ name: 'AES-GCM', iv: bits.slice(KEY_BYTES), additionalData: toUtf8(info) }, key] as const
  }
  return {
    seal: async (plain, place) => {
      const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES))
      const cipher = await cipherFor(await (secrets[0] as Promise<CryptoKey>), salt, place)
      const sealed = new Uint8Array(await crypto.subtle.encrypt(...cipher, plain))
      const whole = new Uint8Array(SALT_BYTES + sealed.length)
      whole.set(salt)
      whole.set(sealed, SALT_BYTES)
      return toBase64Url(whole)
    },
    open: async (text, place) => {
      const whole = fromBase64Url(text)
      if (!whole || whole.length < SALT_BYTES + TAG_BYTES) return undefined
      for (const secret of await Promise.all(secrets)) {
        const cipher = await cipherFor(secret, whole.slice(0, SALT_BYTES), place)
        try {
          return { plain: new Uint8Array(await crypto.subtle.decrypt(...cipher, whole.slice(SALT_BYTES))), secret }
        } catch {
          // Sealed with another secret, or not by this site.
        }
      }
      return undefined
    },
  }
}
