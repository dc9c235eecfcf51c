import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { KeyList, ServerKeys } from '../config/secrets.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Authenticated with every ciphertext, so that one sealed for another use cannot be passed off as a signing key. */
const PURPOSE = 'claviger/1/signing-key'

export interface Sealed {
  /** Nonce, ciphertext, tag. */
  sealed: Buffer
  /** Fingerprint of the CLAVIGER_SECRET under which it was sealed. */
  sealedBy: string
}

/** No entry of CLAVIGER_SECRET opens a private key. The message names the setting and quotes no value. */
export class SealError extends Error {
  constructor(kid: string, why: string) {
    super(
      `CLAVIGER_SECRET does not open the signing key ${kid}: ${why}. To change the secret, put the new one first and keep the old one in the list`,
    )
    this.name = 'SealError'
  }
}

/**
 * AES-256-GCM with a random 96-bit nonce: one secret seals a handful of keys a year, so random nonces do not collide. The
 * `kid` is authenticated too, so the ciphertexts of two rows cannot be swapped.
 */
export function seal(kid: string, plain: Uint8Array, serverKeys: ServerKeys): Sealed {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', serverKeys.sealing, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(kid + PURPOSE))
  const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return { sealed, sealedBy: serverKeys.fingerprint }
}

/** @throws SealError if the secret that sealed it is not in the list, or if the row was altered. */
export function open(kid: string, { sealed, sealedBy }: Sealed, serverKeys: KeyList): Buffer {
  const keys = serverKeys.find((entry) => entry.fingerprint === sealedBy)
  if (!keys) throw new SealError(kid, 'it was sealed with a secret that is not in the list')
  try {
    const decipher = createDecipheriv('aes-256-gcm', keys.sealing, sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(Buffer.from(kid + PURPOSE))
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch {
    throw new SealError(kid, 'the stored row was altered, or is another key’s')
  }
}
