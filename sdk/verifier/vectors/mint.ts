import { retiringKey, signingKey } from './keys.ts'
import { byIssuer, type Signer, thumbprint } from './sign.ts'

export interface ValidVector {
  name: string
  token: string
  claims: Record<string, unknown>
  /** A verifier may refuse it and still keep the standards. */
  optional?: true
}

export interface BadVector {
  name: string
  token: string
  /** What is wrong with it, and what says so. */
  why: string
  /** What @claviger/verifier names as the check that failed. */
  check: string
  /** A verifier may accept it and still keep the standards; @claviger/verifier does not. */
  optional?: true
}

export const AUDIENCE = 'orders'
/** 2025-01-01: before anybody runs these. */
const ISSUED = 1735689600
/** 2100-01-01. */
const EXPIRES = 4102444800

export const signingKid = thumbprint(signingKey)
export const retiringKid = thumbprint(retiringKey)

export const header = { alg: 'RS256', typ: 'at+jwt', kid: signingKid } as const

export const encode = (text: string | Buffer): string => Buffer.from(text).toString('base64url')

/** A member set to this is left out. */
export const ABSENT = undefined

type Json = Record<string, unknown>

export interface Mint {
  issuer: string
  /** Claims of the usual token. */
  claims: Json
  /** The usual token, with these claims instead of its own. */
  withClaims(changed: Json): string
  /** The usual claims under another header. `signer`: the issuer's, unless said otherwise. */
  withHeader(changed: Json, signer?: Signer, claims?: Json): string
  /** Header and payload as they stand here. */
  raw(header: string | Buffer, payload: string | Buffer, signer?: Signer): string
}

export function createMint(issuer: string): Mint {
  const claims: Json = {
    iss: issuer,
    sub: '7f6c2f0e-3c83-4d0b-9d55-0a4f8a1c3b52',
    aud: AUDIENCE,
    client_id: 'web',
    iat: ISSUED,
    exp: EXPIRES,
    jti: 'kT0vV3oYk0m0V1b2d3c4ZQ',
    sid: 'b3b0c6f4-7f0e-4c3a-8a51-6f6d2b9e1d07',
    scope: 'account orders:read',
    auth_time: ISSUED,
    amr: ['pwd'],
    roles: ['clerk'],
  }
  const raw: Mint['raw'] = (head, payload, signer = byIssuer) => {
    const input = `${encode(head)}.${encode(payload)}`
    return `${input}.${signer(input).toString('base64url')}`
  }
  return {
    issuer,
    claims,
    raw,
    withClaims: (changed) => raw(JSON.stringify(header), JSON.stringify({ ...claims, ...changed })),
    withHeader: (changed, signer, own = claims) =>
      raw(JSON.stringify({ ...header, ...changed }), JSON.stringify(own), signer),
  }
}
