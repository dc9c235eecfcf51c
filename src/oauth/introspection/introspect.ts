import type { Clients } from '../../clients/clients.ts'
import type { ServiceClient } from '../../clients/service.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import type { Db } from '../../db/schema.ts'
import type { Keyring } from '../../keys/keyring.ts'
import { findSessionOf } from '../../sessions/authenticate.ts'
import type { AccessTokenClaims } from '../../tokens/claims.ts'
import { verifyAccessToken } from '../../tokens/verify.ts'
import { findServiceOf } from '../service-of-token.ts'

/** What a token is to whoever asks (RFC 7662 §2.2). */
export type Introspection = { active: false } | (AccessTokenClaims & { active: true; token_type: 'Bearer' | 'DPoP' })

export interface IntrospectionDeps {
  db: Db
  clock: Clock
  keyring: Keyring
  config: Config
}

/** The same for every cause, and nothing beside it: a service must not learn about tokens that are not for it. */
const INACTIVE: Introspection = { active: false }

/**
 * Judges an access token as it is at this moment: nothing is kept, so that a logout shows at the next question. Any other
 * token is inactive: refresh tokens would be told only to their own client (RFC 7662 §4), and services have none.
 * @param caller the service that asks. Tokens that it would not have to accept are inactive for it.
 */
export async function introspect(
  deps: IntrospectionDeps,
  clients: Clients,
  caller: Pick<ServiceClient, 'id' | 'audiences'>,
  token: string,
): Promise<Introspection> {
  const now = deps.clock()
  const verified = await verifyAccessToken(deps.keyring, token, deps.config.ISSUER, now)
  if (verified.kind === 'refused') return INACTIVE
  const { claims } = verified
  const isMeant = [claims.aud].flat().some((audience) => audience === caller.id || caller.audiences.includes(audience))
  if (!isMeant || !(await isLive(deps, clients, now, claims))) return INACTIVE
  // RFC 9449 §6.2: whoever asks has to see the proof that belongs to a bound token, by its `cnf`.
  return { ...claims, active: true, token_type: claims.cnf ? 'DPoP' : 'Bearer' }
}

async function isLive(
  deps: IntrospectionDeps,
  clients: Clients,
  now: Date,
  claims: AccessTokenClaims,
): Promise<boolean> {
  if (claims.sid === undefined) return (await findServiceOf(deps, now, claims)) !== undefined
  const client = await clients.find(claims.client_id)
  return client !== undefined && (await findSessionOf(deps.db, now, claims)) !== undefined
}
