import { createHash, type webcrypto } from 'node:crypto'
import { encode, type Mint } from './mint.ts'
import { type Signer, thumbprint } from './sign.ts'

export interface ProofVector {
  name: string
  token: string
  /** The value of the header `DPoP`. */
  proof: string
}

export interface BadProofVector extends ProofVector {
  why: string
  /** A verifier may accept it and still keep the standard; @claviger/verifier does not. */
  optional?: true
}

/** Of the request for which all proofs are, unless they are for another one. */
export const METHOD = 'POST'
export const TARGET = 'https://orders.example/items'
export const NOW = 1750000000

type Json = Record<string, unknown>

export interface Client {
  alg: string
  /** The public key. */
  jwk: webcrypto.JsonWebKey
  signer: Signer
  token: string
  header: Json
  claims: Json
  /** A proof for the client's token, with these members in place of its own. */
  prove(claims?: Json, header?: Json, signer?: Signer): string
  /** Header and payload as they stand here. */
  raw(header: string, payload: string, signer?: Signer): string
}

export const ath = (token: string): string => createHash('sha256').update(token).digest('base64url')

export function createClient(mint: Mint, alg: string, key: webcrypto.JsonWebKey, signer: Signer): Client {
  const jwk = publicPart(key)
  const token = mint.withClaims({ cnf: { jkt: thumbprint(jwk) } })
  const header = { typ: 'dpop+jwt', alg, jwk }
  const claims = { jti: 'n3rV8bXk2mQw', htm: METHOD, htu: TARGET, iat: NOW - 5, ath: ath(token) }
  const raw: Client['raw'] = (head, payload, by = signer) => {
    const input = `${encode(head)}.${encode(payload)}`
    return `${input}.${by(input).toString('base64url')}`
  }
  return {
    alg,
    jwk,
    signer,
    token,
    header,
    claims,
    raw,
    prove: (changed, changedHeader, by) =>
      raw(JSON.stringify({ ...header, ...changedHeader }), JSON.stringify({ ...claims, ...changed }), by),
  }
}

export function publicPart({ kty, crv, x, y, n, e }: webcrypto.JsonWebKey): webcrypto.JsonWebKey {
  return JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as webcrypto.JsonWebKey
}
