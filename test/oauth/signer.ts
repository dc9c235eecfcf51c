import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose'

/** Signs as a client or an issuer does. */
export interface Signer {
  /** Its public half, with `kid` and `alg`. */
  jwk: Record<string, unknown>
  privateKey: KeyObject
  sign(claims: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>
}

const CURVES: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

export function newSigner(alg = 'ES256', kid: string = randomUUID()): Signer {
  const namedCurve = CURVES[alg]
  const { privateKey, publicKey } = namedCurve
    ? generateKeyPairSync('ec', { namedCurve })
    : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg },
    privateKey,
    sign: (claims, header) => new SignJWT(claims).setProtectedHeader({ alg, kid, ...header }).sign(privateKey),
  }
}

/** Where the clock of the server is, in seconds. */
export const seconds = (clock: () => Date): number => Math.floor(clock().getTime() / 1000)

/** Seconds of a time, for claims. */
const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url')

/** A JWT that nobody would sign: header and claims as they are, and any signature. */
export const unsigned = (header: unknown, claims: unknown, signature = 'AA'): string =>
  `${encode(header)}.${encode(claims)}.${signature}`
