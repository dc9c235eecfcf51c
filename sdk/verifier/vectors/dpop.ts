import type { webcrypto } from 'node:crypto'
import { badProofs } from './bad-proofs.ts'
import { strangerKey } from './keys.ts'
import type { Mint } from './mint.ts'
import { proofKey, proofKey384, proofKey521, proofKeyEd25519 } from './proof-keys.ts'
import { type BadProofVector, createClient, METHOD, NOW, type ProofVector, TARGET } from './prover.ts'
import { byStranger, ecdsa, ed25519, pss, type Signer } from './sign.ts'

export interface DpopVectors {
  /** Of the request, as it was sent. */
  method: string
  url: string
  /** When it came, in seconds since the epoch. */
  now: number
  valid: ProofVector[]
  bad: BadProofVector[]
}

type Json = Record<string, unknown>

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
