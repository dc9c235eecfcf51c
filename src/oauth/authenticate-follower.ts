import type { ServiceClient } from '../clients/service.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { Db } from '../db/schema.ts'
import { Problem, type Reason } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Metrics } from '../metrics.ts'
import { audienceOfFeed } from '../revocations/paths.ts'
import type { Semaphore } from '../semaphore.ts'
import { verifyAccessToken } from '../tokens/verify.ts'
import type { AuthenticateClient } from './authenticate-client.ts'
import { findServiceOf } from './service-of-token.ts'

interface TokenDeps {
  db: Db
  clock: Clock
  keyring: Keyring
  config: Config
}

/**
 * Finds out which service follows the feed, or reports. In place of a secret it may send an access token for the feed alone: who signs
 * its proofs, or has them from a platform, can put them into forms only (RFC 7523 §2.2).
 * @param authenticate for those that prove themselves with the request.
 */
export function createFollowerAuthentication(
  deps: TokenDeps & { metrics: Pick<Metrics, 'clientAuthentications'> },
  authenticate: AuthenticateClient,
  semaphore: Pick<Semaphore, 'run'>,
): AuthenticateClient {
  return async (operation, presented) => {
    const token = /^bearer +(\S+)$/i.exec(presented.authorization ?? '')?.[1]
    if (token === undefined) return await authenticate(operation, presented)
    const found = await ownerOf(deps, token, presented.network, semaphore)
    const outcome = typeof found === 'string' ? 'refused' : 'success'
    deps.metrics.clientAuthentications.inc({ outcome })
    if (typeof found !== 'string') return found
    await presented.spendFailure()
    throw new Problem('invalid_client', { reason: found })
  }
}

/** @returns why there is none, if it is no token of a service for the feed. */
async function ownerOf(
  deps: TokenDeps,
  token: string,
  network: string,
  semaphore: Pick<Semaphore, 'run'>,
): Promise<ServiceClient | Reason> {
  const now = deps.clock()
  const verified = await verifyAccessToken(deps.keyring, token, deps.config.ISSUER, now)
  if (verified.kind === 'refused') return verified.reason
  const { claims } = verified
  if (claims.sid !== undefined) return 'another kind of caller'
  // Whoever stole a token that is bound to a key must not learn by it who signs out. No proof is taken here: a stream is opened
  // once, and secrets and signed JWTs serve as well.
  if (claims.cnf !== undefined) return 'no_proof'
  // Alone: with another audience beside it, that one has been sent the token as well.
  if (claims.aud !== audienceOfFeed(deps.config.ISSUER)) return 'aud'
  return (await semaphore.run(() => findServiceOf(deps, now, claims), network)) ?? 'client'
}
