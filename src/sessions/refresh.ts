import { createHash, randomBytes } from 'node:crypto'
import type { RequestFacts } from '../audit/audit.ts'
import type { Delivery } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { authenticateToken, hashToken, mintSuccessor } from '../tokens/refresh.ts'
import { refreshCarefully } from './careful.ts'
import type { Client, Clients } from './clients.ts'
import { type Grant, narrowing } from './grants.ts'
import { type Issued, issue } from './issue.ts'
import type { FamilyFacts } from './queries.ts'
import type { Rotate } from './rotator.ts'

export interface RefreshInput {
  /** Undefined: none came, which is answered like any other refusal. */
  token: string | undefined
  delivery: Delivery
  clientId: string | undefined
  idempotencyKey: string | undefined
  scope: string | undefined
  audience: string | string[] | undefined
}

/**
 * Exchanges a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
 * @throws Problem `invalid_grant`, the same for every cause; `invalid_scope` or `invalid_target` if more was asked for than
 * was granted; `too_many_requests`; `unavailable`.
 */
export async function refresh(
  deps: Pick<Deps, 'config' | 'serverKeys' | 'db' | 'clock' | 'keyring' | 'metrics' | 'log'>,
  rotate: Rotate,
  clients: Clients,
  input: RefreshInput,
  facts: RequestFacts,
): Promise<Issued> {
  const token = input.token === undefined ? undefined : authenticateToken(deps.serverKeys, input.token)
  if (!token) {
    deps.metrics.refreshes.inc({ outcome: 'not_ours' })
    throw new Problem('invalid_grant', { reason: input.token === undefined ? 'no_token' : 'not_ours' })
  }
  // Before the rotation: a rotated token without an access token would only have to be retried.
  if (!deps.keyring.ready()) throw new Problem('unavailable', { reason: 'no signing key', retryAfter: 5 })

  const now = deps.clock()
  const narrow = narrowing(input)
  const presented = {
    generation: token.generation,
    hash: token.hash,
    keyHash: input.idempotencyKey === undefined ? null : createHash('sha256').update(input.idempotencyKey).digest(),
    delivery: input.delivery,
    clientId: input.clientId ?? null,
  }
  const salt = randomBytes(16)
  const refreshToken = mintSuccessor(deps.serverKeys[0], token, token.generation + 1, salt)
  const rotated = await rotate({
    family: token.family,
    presented,
    successor: { hash: hashToken(refreshToken), salt },
    now,
    narrow,
    perMinute: deps.config.RATE_LIMIT_FAMILY_PER_MINUTE,
  })
  const {
    subject,
    family,
    refreshToken: successor,
  } = rotated
    ? { subject: rotated.subject, family: rotated, refreshToken }
    : await refreshCarefully(deps, now, { token, presented, narrow }, facts)
  if (rotated) deps.metrics.refreshes.inc({ outcome: 'rotated' })

  const client = clients.get(family.clientId)
  if (!client) throw new Problem('invalid_grant', { reason: 'client_gone' })
  return await issue(deps, now, {
    family,
    subject,
    refreshToken: successor,
    grant: stillAllowed(client, family, narrow),
  })
}

/** What was granted or asked for, less what the operator has taken from the client since. */
function stillAllowed(client: Client, family: FamilyFacts, narrow: ReturnType<typeof narrowing>): Grant {
  const scope = (narrow.scope ?? family.scope).filter((item) => client.scopes.includes(item))
  const audience = (narrow.audience ?? family.audience).filter((item) => client.audiences.includes(item))
  return { scope, audience: audience.length > 0 ? audience : client.audiences.slice(0, 1) }
}
