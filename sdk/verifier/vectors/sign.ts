import {
  constants,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateEncrypt,
  sign,
  type webcrypto,
} from 'node:crypto'
import { retiringKey, signingKey, strangerCurveKey, strangerKey } from './keys.ts'

/** From the signing input of a JWS to its signature. All of them give the same bytes for the same input. */
export type Signer = (input: string) => Buffer

/** RFC 7638. */
export function thumbprint({ crv, e, kty, n, x, y }: webcrypto.JsonWebKey): string {
  const members = JSON.stringify({ crv, e, kty, n, x, y })
  return createHash('sha256').update(members).digest('base64url')
}

/** As Claviger publishes a key. */
export function published(jwk: webcrypto.JsonWebKey) {
  return { kty: 'RSA', use: 'sig', alg: 'RS256', kid: thumbprint(jwk), n: jwk.n ?? '', e: jwk.e ?? '' }
}

const privateKey = (jwk: webcrypto.JsonWebKey): KeyObject => createPrivateKey({ key: jwk, format: 'jwk' })
const rsa =
  (jwk: webcrypto.JsonWebKey, hash = 'sha256'): Signer =>
  (input) =>
    sign(hash, Buffer.from(input), privateKey(jwk))

export const byIssuer = rsa(signingKey)
export const byRetiringKey = rsa(retiringKey)
export const byStranger = rsa(strangerKey)
export const rs384 = rsa(signingKey, 'sha384')
export const rs512 = rsa(signingKey, 'sha512')
export const rs1 = rsa(signingKey, 'sha1')
export const nobody: Signer = () => Buffer.alloc(0)

export const hmac =
  (secret: string | Buffer, hash = 'sha256'): Signer =>
  (input) =>
    createHmac(hash, secret).update(input).digest()

/** Forms of the public key that a confused verifier may take for a shared secret. */
export const publicForms = (() => {
  const key = createPublicKey({ key: signingKey, format: 'jwk' })
  return {
    spkiPem: key.export({ type: 'spki', format: 'pem' }),
    pkcs1Pem: key.export({ type: 'pkcs1', format: 'pem' }),
    spkiDer: key.export({ type: 'spki', format: 'der' }),
    jwk: JSON.stringify(published(signingKey)),
    modulus: Buffer.from(signingKey.n, 'base64url'),
  }
})()

/** Ed25519 has no random part. */
export const ed25519 =
  (jwk: webcrypto.JsonWebKey): Signer =>
  (input) =>
    sign(null, Buffer.from(input), privateKey(jwk))

const sha256 = (...parts: (string | Buffer)[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** RSASSA-PSS (RFC 8017 §9.1.1) with a salt made from the message: node's own is random, and vectors must not change. */
export const pss =
  (jwk: webcrypto.JsonWebKey): Signer =>
  (input) => {
    const digest = sha256(input)
    const salt = sha256('salt', digest)
    const hash = sha256(Buffer.alloc(8), digest, salt)
    const block = Buffer.alloc(256 - hash.length - 1)
    block[block.length - salt.length - 1] = 1
    salt.copy(block, block.length - salt.length)
    const mask = Buffer.concat(
      Array.from({ length: Math.ceil(block.length / 32) }, (_, counter) =>
        sha256(hash, Buffer.from([0, 0, 0, counter])),
      ),
    )
    const masked = block.map((byte, index) => byte ^ (mask[index] ?? 0))
    masked[0] = (masked[0] ?? 0) & 0x7f
    const encoded = Buffer.concat([masked, hash, Buffer.from([0xbc])])
    return privateEncrypt({ key: privateKey(jwk), padding: constants.RSA_NO_PADDING }, encoded)
  }

export const ps256: Signer = pss(signingKey)

interface Curve {
  name: string
  hash: string
  order: bigint
  bytes: number
}
const CURVES: Record<string, Curve> = {
  'P-256': {
    name: 'prime256v1',
    hash: 'sha256',
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    bytes: 32,
  },
  'P-384': {
    name: 'secp384r1',
    hash: 'sha384',
    order: BigInt(`0x${'f'.repeat(48)}c7634d81f4372ddf581a0db248b0a77aecec196accc52973`),
    bytes: 48,
  },
  'P-521': {
    name: 'secp521r1',
    hash: 'sha512',
    order: BigInt(`0x1${'f'.repeat(65)}a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`),
    bytes: 66,
  },
}
const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)

/** ECDSA with a nonce made from key and message, for the same reason. Never do this with a key that matters. */
export function ecdsa({ crv = '', d = '' }: webcrypto.JsonWebKey): Signer {
  const { name, hash, order, bytes } = CURVES[crv] as Curve
  const toBytes = (number: bigint): Buffer => Buffer.from(number.toString(16).padStart(bytes * 2, '0'), 'hex')
  const secret = Buffer.from(d, 'base64url')
  return (input) => {
    const digest = createHash(hash).update(input).digest()
    const nonce = (toNumber(sha256('nonce', secret, digest)) % (order - 1n)) + 1n
    const curve = createECDH(name)
    curve.setPrivateKey(toBytes(nonce))
    const r = toNumber(curve.getPublicKey().subarray(1, bytes + 1)) % order
    const s = (inverse(nonce, order) * (toNumber(digest) + r * toNumber(secret))) % order
    return Buffer.concat([toBytes(r), toBytes(s)])
  }
}

export const es256: Signer = ecdsa(strangerCurveKey)

/** By Fermat: the order is prime. */
function inverse(number: bigint, order: bigint): bigint {
  let result = 1n
  let base = number % order
  for (let exponent = order - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % order
    base = (base * base) % order
  }
  return result
}
