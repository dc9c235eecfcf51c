import type { Clients } from '../clients/clients.ts'
import { findServiceClient } from '../clients/service.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { Db } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Principal, ServicePrincipal } from '../principal.ts'
import type { ProvenKey } from '../proven-key.ts'
import type { Semaphore } from '../semaphore.ts'
import type { AccessTokenClaims, ServiceClaims, SessionClaims } from '../tokens/claims.ts'
import { verifyAccessToken } from '../tokens/verify.ts'
import { isUuid } from '../uuid.ts'
import { findLive } from './queries.ts'

/**
 * Bounds lookups that many strangers can cause at once, each within their own limit. If all started together, each
 * round of the event loop would take many milliseconds, and a refresh needs several rounds. Eight is more than there
 * are database connections for them; two seconds is as long as anything waits for the database.
 */
export const STRANGERS = { permits: 8, queue: 1024, patienceMs: 2000 }

interface Deps {
  db: Db
  clock: Clock
  keyring: Keyring
  config: Config
  clients: Clients
}

/** For `guardAccess`: `authenticate`, as many at a time as the semaphore admits. */
export function createAuthentication(deps: Deps, semaphore: Pick<Semaphore, 'run'>) {
  return (token: string, key: ProvenKey | undefined, network: string): Promise<Principal> =>
    semaphore.run(() => authenticate(deps, token, key), network)
}

/**
 * Verifies an access token for our own bearer endpoints and looks up its session, so that a logout takes effect here at
 * once.
 * @param token as after `Bearer ` or `DPoP `.
 * @param key that the sender has proved; undefined for the scheme Bearer.
 * @throws Problem `invalid_token`, `invalid_dpop_proof`, with what failed as the reason for the log.
 */
async function authenticate(deps: Deps, token: string, key: ProvenKey | undefined): Promise<Principal> {
  const now = deps.clock()
  const verified = await verifyAccessToken(deps.keyring, token, deps.config.ISSUER, now)
  if (verified.kind === 'refused') throw new Problem('invalid_token', { reason: verified.reason })
  const { claims } = verified
  checkBinding(claims, key)
  if (claims.sid === undefined) return await serviceOf(deps, now, claims)

  // Any audience of the token's client is accepted: see docs/divergences.md.
  const client = await deps.clients.find(claims.client_id)
  const audiences = [claims.aud].flat()
  if (!client || !audiences.some((item) => client.audiences.includes(item))) {
    throw new Problem('invalid_token', { reason: 'aud' })
  }
  const session = await findSessionOf(deps.db, now, claims)
  if (!session) throw new Problem('invalid_token', { reason: 'session' })
  return {
    kind: 'user',
    subject: { ...session.subject, createdAt: session.userCreatedAt },
    sessionId: session.id,
    clientId: session.clientId,
    scope: claims.scope.split(' '),
    authTime: session.authTime,
  }
}

/**
 * A token that is bound to a key is good for the owner of that key alone. One that is not may not come by the scheme DPoP (RFC 9449
 * §7.1): what its sender takes for bound would be worth something to a thief.
 * @throws Problem `invalid_dpop_proof`, `invalid_token`.
 */
function checkBinding({ cnf }: AccessTokenClaims, key: ProvenKey | undefined): void {
  if (cnf === undefined && key === undefined) return
  if (cnf === undefined) throw new Problem('invalid_token', { reason: 'cnf' })
  if (key === undefined) throw new Problem('invalid_dpop_proof', { reason: 'no_proof' })
  if (key.jkt !== cnf.jkt) throw new Problem('invalid_dpop_proof', { reason: 'other_key' })
}

/** Looked up for the same reason as a session: a client that was disabled is refused at once. */
async function serviceOf(
  deps: { db: Db; config: Config },
  now: Date,
  { client_id: id, aud, scope }: ServiceClaims,
): Promise<ServicePrincipal> {
  const client = await findServiceClient(deps, now, id)
  if (!client) throw new Problem('invalid_token', { reason: 'client' })
  if (![aud].flat().some((item) => client.audiences.includes(item)))
    throw new Problem('invalid_token', { reason: 'aud' })
  return { kind: 'service', clientId: id, scope: scope?.split(' ') ?? [] }
}

/** The session of an access token, if it is live, and of the user and the client that the token names. */
export async function findSessionOf(
  db: Db,
  now: Date,
  { sid, sub, client_id: clientId }: Pick<SessionClaims, 'sid' | 'sub' | 'client_id'>,
): ReturnType<typeof findLive> {
  const session = isUuid(sid) ? await findLive(db, now, sid) : undefined
  return session?.subject.id === sub && session.clientId === clientId ? session : undefined
}
