import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Problem } from '../../errors.ts'
import type { DpopJudge, ProofRequest, ProvenKey } from '../../proven-key.ts'
import { splitTarget } from '../guards/target.ts'

/** The header of requests whose tokens are bound to a key, or are to be. Judged by `DpopJudge` and not by the schema. */
export const proofHeader = {
  dpop: Type.Optional(
    Type.String({
      description:
        'A proof of the key that the tokens are bound to, or are to be bound to, made for this request (RFC 9449 §4).',
      examples: ['eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2Iiwi…'],
    }),
  ),
}

/** The part of a request that `DpopJudge.read` takes. */
export function proofRequestOf({ raw }: Pick<FastifyRequest, 'raw'>): ProofRequest {
  // Node joins several headers into one, so they are taken from the raw list.
  const proofs = raw.rawHeaders.filter((_value, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === 'dpop')
  return { proofs, method: raw.method ?? '', path: splitTarget(raw.url ?? '').path }
}

/** Of the sender of an access token. */
export interface KeyProof {
  key: ProvenKey
  /** Makes it the only request that the proof is good for. Rejects with Problem `invalid_dpop_proof`. */
  useUp(): Promise<void>
}

/**
 * Proves the key of whoever sends an access token by the scheme DPoP (RFC 9449 §7.1).
 * @returns a function that throws Problem `invalid_dpop_proof`, `use_dpop_nonce`.
 */
export function createKeyProof(dpop: DpopJudge) {
  return async (request: FastifyRequest, accessToken: string, network: string): Promise<KeyProof> => {
    const proof = dpop.read(proofRequestOf(request), { accessToken })
    if (!proof) throw new Problem('invalid_dpop_proof', { reason: 'no_proof' })
    return { key: await dpop.prove(proof, network), useUp: () => dpop.useUp(proof) }
  }
}

/**
 * Hands the nonce for the next proof to whoever has sent one (RFC 9449 §8.2), whatever the answer is. Not with public
 * documents, which caches keep.
 * Order: after `sendHeaders`, before anything that refuses proofs.
 */
export function sendNonces(app: FastifyInstance, dpop: Pick<DpopJudge, 'nonce'>): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (request.headers.dpop !== undefined && request.routeOptions.config.cors !== 'public')
      reply.header('dpop-nonce', dpop.nonce())
    done()
  })
}
