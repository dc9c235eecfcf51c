import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint } from 'jose'

/** A public signing key as it is published (RFC 7517 §4, RFC 7518 §6.3.1): these members and no others. */
export interface PublicJwk {
  kty: 'RSA'
  use: 'sig'
  alg: 'RS256'
  /** RFC 7638 thumbprint, so that a key has the same name wherever it goes. */
  kid: string
  n: string
  e: string
}

export interface KeyMaterial {
  kid: string
  privateKey: KeyObject
  publicKey: KeyObject
  jwk: PublicJwk
}

/** The largest that common verifiers accept; a larger key takes seconds to sign. */
export const LARGEST_KEY_BITS = 8192

/** A key that is not acceptable. The message is for the operator. */
export class KeyRefused extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'KeyRefused'
  }
}

/** A new RSA key. Takes from a fraction of a second to several seconds, off the event loop. */
export async function generateKey(bits: number): Promise<KeyMaterial> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: bits, publicExponent: 0x10001 })
  return describeKey(privateKey)
}

/** The public half is derived, not read from the table: write access to the database must not suffice to publish a key. */
export async function describeKey(privateKey: KeyObject): Promise<KeyMaterial> {
  const publicKey = createPublicKey(privateKey)
  const { n, e } = publicKey.export({ format: 'jwk' }) as { n: string; e: string }
  const kid = await calculateJwkThumbprint({ kty: 'RSA', n, e }, 'sha256')
  return { kid, privateKey, publicKey, jwk: { kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e } }
}

/** The form that is sealed: PKCS #8 in DER. */
export function toDer(key: KeyMaterial): Buffer {
  return key.privateKey.export({ format: 'der', type: 'pkcs8' })
}

export function fromDer(der: Buffer): Promise<KeyMaterial> {
  return describeKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
}

/**
 * Reads a private key in PEM, PKCS #8 or PKCS #1.
 * @throws KeyRefused if it is not an RSA key fit for RS256 (RFC 7518 §3.3). The message quotes nothing of the key.
 */
export async function fromPem(pem: string): Promise<KeyMaterial> {
  if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw new KeyRefused('the key is encrypted: decrypt it first (openssl pkey)')
  }
  if (/-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY|CERTIFICATE)/.test(pem) && !pem.includes('PRIVATE KEY-----')) {
    throw new KeyRefused('this is a public key or certificate: the private key is needed')
  }
  if (pem.split('PRIVATE KEY-----').length > 3) throw new KeyRefused('the file holds more than one private key')
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(pem)
  } catch {
    throw new KeyRefused('this is not a private key in PEM, PKCS #8 or PKCS #1')
  }
  refuseUnfit(privateKey)
  return describeKey(privateKey)
}

function refuseUnfit(privateKey: KeyObject): void {
  const { modulusLength = 0, publicExponent } = privateKey.asymmetricKeyDetails ?? {}
  if (privateKey.asymmetricKeyType !== 'rsa') {
    throw new KeyRefused(`the key is of type ${privateKey.asymmetricKeyType}: RS256 needs RSA`)
  }
  if (modulusLength < 2048) throw new KeyRefused(`the key has ${modulusLength} bits: at least 2048 are needed`)
  if (modulusLength > LARGEST_KEY_BITS) {
    throw new KeyRefused(`the key has ${modulusLength} bits: more than ${LARGEST_KEY_BITS} are too many for verifiers`)
  }
  if (publicExponent !== 65537n) throw new KeyRefused('the public exponent must be 65537')
  // If the halves did not match, no signature would verify; and signing with faulty factors leaks the private key.
  const probe = Buffer.from('claviger')
  let matches = false
  try {
    matches = verify('RSA-SHA256', probe, createPublicKey(privateKey), sign('RSA-SHA256', probe, privateKey))
  } catch {
    // Reported as a mismatch below.
  }
  if (!matches) throw new KeyRefused('the key is damaged: its signatures do not verify')
}
