import type { Tally } from '../../audit/tally.ts'
import { type Asked, grantFor } from '../../clients/grants.ts'
import type { ServiceClient } from '../../clients/service.ts'
import type { Config } from '../../config/config.ts'
import { Problem } from '../../errors.ts'
import type { Keyring } from '../../keys/keyring.ts'
import type { Metrics } from '../../metrics.ts'
import type { Operation } from '../../operation.ts'
import type { ProvenKey } from '../../proven-key.ts'
import { audienceOfFeed } from '../../revocations/paths.ts'
import { issueServiceToken, MAX_ACCESS_TOKEN } from '../../tokens/access.ts'

export interface ServiceToken {
  accessToken: string
  /** Whether it is bound to a key (RFC 9449 §5) or good for whoever bears it. */
  tokenType: 'Bearer' | 'DPoP'
  /** Seconds. */
  expiresIn: number
  /** Empty if the client may do nothing that has a name. */
  scope: string[]
}

/**
 * The access token of a service that has proved itself (RFC 6749 §4.4): of all its scopes and its first audience, unless it
 * asks for others that are its own, or for the feed’s. It is bound to the key that the service has proved, if it has.
 * @throws Problem `invalid_scope` or `invalid_target` if it asks for more; `invalid_dpop_proof` without a key that its registration
 * demands; `token_too_large`; `unavailable` without a signing key.
 */
export async function grantToService(
  deps: { config: Pick<Config, 'ISSUER'>; keyring: Keyring; metrics: Metrics; tally: Tally },
  operation: Operation,
  client: ServiceClient,
  { key, ...asked }: Asked & { key: ProvenKey | undefined },
): Promise<ServiceToken> {
  if (client.dpopRequired && !key) throw new Problem('invalid_dpop_proof', { reason: 'no_proof' })
  // Every service may follow the feed.
  const audiences = [...client.audiences, audienceOfFeed(deps.config.ISSUER)]
  const { scope, audience } = grantFor({ scopes: client.scopes, audiences }, asked)
  const started = performance.now()
  const accessToken = await issueServiceToken(deps.keyring, operation.now, {
    issuer: deps.config.ISSUER,
    lifetimeSeconds: client.accessTokenSeconds,
    clientId: client.id,
    scope,
    audience,
    dpopJkt: key?.jkt ?? null,
  })
  deps.metrics.signSeconds.observe((performance.now() - started) / 1000)
  if (accessToken.length > MAX_ACCESS_TOKEN) {
    deps.metrics.tokensTooLarge.inc()
    throw new Problem('token_too_large', { reason: `${accessToken.length} bytes` })
  }
  await deps.tally.add(
    { ...operation, actor: `client:${client.id}` },
    { type: 'client.authenticated', outcome: 'success', clientId: client.id },
  )
  return { accessToken, tokenType: key ? 'DPoP' : 'Bearer', expiresIn: client.accessTokenSeconds, scope }
}
