import type { Delivery } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { issueAccessToken } from '../tokens/access.ts'
import type { Grant } from './grants.ts'
import type { FamilyFacts, Subject } from './queries.ts'
import { endsIfUnused } from './rotation.ts'

/** A family with its current refresh token: what a client is about to receive. Not yet signed for. */
export interface Session {
  family: FamilyFacts
  subject: Subject
  refreshToken: string
  /** What the access token is for; within what the family was granted. */
  grant: Grant
}

/** Everything a token reply says. Durations are in seconds. */
export interface Issued {
  accessToken: string
  expiresIn: number
  scope: string
  refreshToken: string
  /** Until the family ends if it is not used. */
  refreshExpiresIn: number
  remember: boolean
  delivery: Delivery
  sessionId: string
  subject: Subject
}

/** Signs the access token of a session that is already committed. @throws Problem `unavailable` without a signing key. */
export async function issue(
  deps: Pick<Deps, 'config' | 'keyring' | 'metrics'>,
  now: Date,
  { family, subject, refreshToken, grant }: Session,
): Promise<Issued> {
  const started = performance.now()
  const accessToken = await issueAccessToken(deps.keyring, now, {
    issuer: deps.config.ISSUER,
    lifetimeSeconds: deps.config.ACCESS_TOKEN_SECONDS,
    userId: subject.id,
    sessionId: family.id,
    clientId: family.clientId,
    scope: grant.scope,
    audience: grant.audience,
    authTime: family.authTime,
    amr: family.amr,
    roles: subject.roles,
    claims: subject.claims,
  })
  deps.metrics.signSeconds.observe((performance.now() - started) / 1000)
  return {
    accessToken,
    expiresIn: deps.config.ACCESS_TOKEN_SECONDS,
    scope: grant.scope.join(' '),
    refreshToken,
    refreshExpiresIn: Math.max(0, Math.floor((endsIfUnused(family).getTime() - now.getTime()) / 1000)),
    remember: family.remember,
    delivery: family.delivery,
    sessionId: family.id,
    subject,
  }
}
