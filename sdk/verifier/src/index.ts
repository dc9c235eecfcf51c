import { buildVerifier, type Verifier, type VerifierOptions } from './verifier.ts'

export type { Claims } from './claims.ts'
export type { SentProof } from './dpop/judge.ts'
export type { DpopMode, DpopSettings, RouteDpop } from './dpop/options.ts'
export { type Check, VerificationError } from './errors.ts'
export { type Requirements, requireRole, requireScope } from './requirements.ts'
export type { RevocationsStatus } from './revocations/feed.ts'
export type { RevocationOptions } from './revocations/policy.ts'
export type { Verifier, VerifierOptions, VerifyOptions } from './verifier.ts'

/**
 * Creates a function that verifies access tokens of one issuer for one service. It finds the issuer's keys by itself and
 * keeps them fresh. Create one per process.
 * @throws TypeError if the options would make it accept too much.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  return buildVerifier(options)
}
