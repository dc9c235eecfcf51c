import { createVerifier, type DpopSettings, type VerifierOptions } from '../../sdk/verifier/src/index.ts'
import { AUDIENCE, createMint } from '../../sdk/verifier/vectors/mint.ts'
import { proofKey } from '../../sdk/verifier/vectors/proof-keys.ts'
import { type Client, createClient } from '../../sdk/verifier/vectors/prover.ts'
import { ecdsa } from '../../sdk/verifier/vectors/sign.ts'
import { first } from './verifier-support.ts'

export const issuer = 'https://issuer.example'
export const ORIGIN = 'https://orders.example'
export const mint = createMint(issuer)
export const client: Client = createClient(mint, 'ES256', proofKey, ecdsa(proofKey))

export function verifierWith(dpop?: VerifierOptions['dpop'], options: Partial<VerifierOptions> = {}) {
  return createVerifier({ issuer, audience: AUDIENCE, jwks: { keys: [first] }, ...(dpop && { dpop }), ...options })
}

export const settings = (changed: Partial<DpopSettings> = {}): DpopSettings => ({
  mode: 'accepted',
  origin: ORIGIN,
  ...changed,
})

/** A proof that nobody has seen before. */
export function freshProof(htm: string, path: string, changed: Record<string, unknown> = {}): string {
  const own = { jti: crypto.randomUUID(), htm, htu: `${ORIGIN}${path}`, iat: Math.floor(Date.now() / 1000) }
  return client.prove({ ...own, ...changed })
}
