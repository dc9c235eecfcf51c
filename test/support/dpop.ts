import { constants, createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { encode } from './jwt.ts'

/** What a proof is for. Times are seconds; whatever is undefined in `header` and `claims` is left out of the proof. */
export interface ProofInput {
  method: string
  /** As the client has it: with scheme and host. */
  url: string
  /** Gives the proof an `ath`. */
  accessToken?: string
  nonce?: string
  /** By default this host's time, which a test’s clock that has travelled is far from. */
  iat?: number
  jti?: string
  /** Besides `typ`, `alg` and `jwk`, or in their place. */
  header?: Record<string, unknown>
  /** Besides those of a proper proof, or in their place. */
  claims?: Record<string, unknown>
}

/** A public key as a proof carries it (RFC 7517). */
export interface PublicJwk {
  kty?: string
  crv?: string
  x?: string
  y?: string
  n?: string
  e?: string
}

export interface ProofKey {
  /** RFC 7638. */
  jkt: string
  /** The public key alone, without any other member. */
  jwk: PublicJwk
  privateKey: KeyObject
  /** The value of the header DPoP for one request. */
  proof(input: ProofInput): string
  /** A compact JWS of any content, under this key. A part that is a string is taken as it is. */
  sign(header: unknown, claims: unknown): string
}

const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const
const HASHES: Record<string, string> = { ES384: 'sha384', ES512: 'sha512' }

export type ProofAlgorithm = keyof typeof CURVES | 'Ed25519' | 'EdDSA' | 'PS256' | 'RS256'

/** A client’s key for DPoP (RFC 9449). @param bits of the modulus, for RSA. */
export function createProofKey(alg: ProofAlgorithm = 'ES256', bits = 2048): ProofKey {
  const privateKey = makeKey(alg, bits)
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...jwk } = privateKey.export({ format: 'jwk' })
  const signed = (header: unknown, claims: unknown): string => {
    const input = `${encode(header)}.${encode(claims)}`
    return `${input}.${signatureOf(alg, privateKey, input)}`
  }
  return {
    jkt: thumbprintOf(jwk),
    jwk,
    privateKey,
    sign: signed,
    proof: ({ method, url, accessToken, nonce, iat = Date.now() / 1000, jti = randomUUID(), header, claims }) =>
      signed(
        { typ: 'dpop+jwt', alg, jwk, ...header },
        {
          jti,
          htm: method,
          htu: url,
          iat: Math.floor(iat),
          nonce,
          ath: accessToken === undefined ? undefined : createHash('sha256').update(accessToken).digest('base64url'),
          ...claims,
        },
      ),
  }
}

function makeKey(alg: ProofAlgorithm, bits: number): KeyObject {
  if (alg === 'Ed25519' || alg === 'EdDSA') return generateKeyPairSync('ed25519').privateKey
  if (alg === 'PS256' || alg === 'RS256') return generateKeyPairSync('rsa', { modulusLength: bits }).privateKey
  return generateKeyPairSync('ec', { namedCurve: CURVES[alg] }).privateKey
}

function signatureOf(alg: ProofAlgorithm, key: KeyObject, input: string): string {
  const data = Buffer.from(input)
  if (alg === 'Ed25519' || alg === 'EdDSA') return sign(null, data, key).toString('base64url')
  // PSS with a salt as long as the hash (RFC 7518 §3.5).
  const options =
    alg === 'PS256'
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
      : { key, dsaEncoding: 'ieee-p1363' as const }
  return sign(HASHES[alg] ?? 'sha256', data, options).toString('base64url')
}

/** RFC 7638 §3.2 and RFC 8037 §2: the required members in the order of their names. */
function thumbprintOf({ crv, e, kty, n, x, y }: PublicJwk): string {
  return createHash('sha256').update(JSON.stringify({ crv, e, kty, n, x, y })).digest('base64url')
}
