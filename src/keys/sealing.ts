import type { KeyList, ServerKeys } from '../config/secrets.ts'
import { openBytes, sealBytes } from '../sealing.ts'

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

/** One secret seals a handful of keys a year, so random nonces do not collide. */
export function seal(kid: string, plain: Uint8Array, serverKeys: ServerKeys): Sealed {
  return { sealed: sealBytes(serverKeys.sealing, kid + PURPOSE, plain), sealedBy: serverKeys.fingerprint }
}

/** @throws SealError if the secret that sealed it is not in the list, or if the row was altered. */
export function open(kid: string, { sealed, sealedBy }: Sealed, serverKeys: KeyList): Buffer {
  const keys = serverKeys.find((entry) => entry.fingerprint === sealedBy)
  if (!keys) throw new SealError(kid, 'it was sealed with a secret that is not in the list')
  try {
    return openBytes(keys.sealing, kid + PURPOSE, sealed)
  } catch {
    throw new SealError(kid, 'the stored row was altered, or is another key’s')
  }
}
