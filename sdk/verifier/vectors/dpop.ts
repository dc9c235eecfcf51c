import { createHash, type webcrypto } from 'node:crypto'
import { badProofs } from './bad-proofs.ts'
import { strangerKey } from './keys.ts'
import { encode, type Mint } from './mint.ts'
import { proofKey, proofKey384, proofKey521, proofKeyEd25519 } from './proof-keys.ts'
import { byStranger, ecdsa, ed25519, pss, type Signer, thumbprint } from './sign.ts'

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

export interface DpopVectors {
  /** Of the request, as it was sent. */
  method: string
  url: string
  /** When it came, in seconds since the epoch. */
  now: number
  valid: ProofVector[]
  bad: BadProofVector[]
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

/** @param mint of the tokens. */
export function dpop(mint: Mint): DpopVectors {
  const usual = createClient(mint, 'ES256', proofKey, ecdsa(proofKey))
  const others: [string, webcrypto.JsonWebKey, Signer][] = [
    ['ES384', proofKey384, ecdsa(proofKey384)],
    ['ES512', proofKey521, ecdsa(proofKey521)],
    ['EdDSA', proofKeyEd25519, ed25519(proofKeyEd25519)],
    ['Ed25519', proofKeyEd25519, ed25519(proofKeyEd25519)],
    ['RS256', strangerKey, byStranger],
    ['PS256', strangerKey, pss(strangerKey)],
  ]
  const good = (name: string, claims: Json, header: Json = {}): ProofVector => ({
    name,
    token: usual.token,
    proof: usual.prove(claims, header),
  })
  return {
    method: METHOD,
    url: `${TARGET}?page=2`,
    now: NOW,
    valid: [
      good('usual', {}),
      ...others.map(([alg, key, signer]) => {
        const client = createClient(mint, alg, key, signer)
        return { name: `signed-by-${alg}`, token: client.token, proof: client.prove() }
      }),
      good('with-a-nonce', { nonce: 'given-by-a-server' }),
      good('with-claims-that-are-not-known', { exp: 1, note: { a: [1, { b: '":' }] } }),
      good('with-a-kid', {}, { kid: 'a-name-of-the-client' }),
      good(
        'with-a-key-that-says-its-use',
        {},
        { jwk: { ...usual.jwk, use: 'sig', alg: 'ES256', key_ops: ['verify'] } },
      ),
      good('host-and-scheme-in-capitals', { htu: 'HTTPS://ORDERS.EXAMPLE/items' }),
      good('default-port', { htu: 'https://orders.example:443/items' }),
      good('dot-segments', { htu: 'https://orders.example/a/../items' }),
      good('query-and-fragment', { htu: `${TARGET}?page=1#top` }),
      good('iat-with-a-fraction', { iat: NOW - 0.25 }),
      good('clock-ahead', { iat: NOW + 59 }),
    ],
    bad: badProofs(mint, usual),
  }
}
