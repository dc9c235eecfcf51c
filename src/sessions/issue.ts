import type { Grant } from '../clients/grants.ts'
import type { Config } from '../config/config.ts'
import type { Delivery } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { type AccessTokenInput, issueAccessToken, lengthOfAccessToken, MAX_ACCESS_TOKEN } from '../tokens/access.ts'
import { endsIfUnused } from './live.ts'
import type { FamilyFacts, Subject } from './queries.ts'

/** A family with its current refresh token, for which an access token has yet to be signed. */
export interface Session {
  family: FamilyFacts
  subject: Subject
  refreshToken: string
  /** What the access token is for: all or part of what the family was granted. */
  grant: Grant
  /** How long the access token is good, unless the family ends before. */
  accessTokenSeconds: number
}

/** Everything a token reply says. Durations are in seconds. */
export interface Issued {
  accessToken: string
  /** Whether the tokens are bound to a key (RFC 9449 §5) or good for whoever bears them. */
  tokenType: 'Bearer' | 'DPoP'
  expiresIn: number
  scope: string
  refreshToken: string
  /** Time until the family ends unless it is used. */
  refreshExpiresIn: number
  remember: boolean
  delivery: Delivery
  clientId: string
  sessionId: string
  subject: Subject
}

/**
 * Signs the access token of a session that is already committed.
 * @throws Problem `unavailable` without a signing key; `token_too_large`.
 */
export async function issue(
  deps: { config: Config; keyring: Keyring; metrics: Metrics; log: Log },
  now: Date,
  session: Session,
): Promise<Issued> {
  const { family, subject, refreshToken, grant } = session
  const started = performance.now()
  const input = inputFor(deps, now, session)
  const accessToken = await issueAccessToken(deps.keyring, now, input)
  deps.metrics.signSeconds.observe((performance.now() - started) / 1000)
  if (accessToken.length > MAX_ACCESS_TOKEN) throw tooLarge(deps, session, accessToken.length)
  return {
    accessToken,
    tokenType: family.dpopJkt === null ? 'Bearer' : 'DPoP',
    expiresIn: input.lifetimeSeconds,
    scope: grant.scope.join(' '),
    refreshToken,
    refreshExpiresIn: Math.max(0, Math.floor((endsIfUnused(family).getTime() - now.getTime()) / 1000)),
    remember: family.remember,
    delivery: family.delivery,
    clientId: family.clientId,
    sessionId: family.id,
    subject,
  }
}

/**
 * Checks, before anything is committed, that the access token will not be too large: without one, a new session would be
 * useless, or a refresh token used up in vain.
 * @throws Problem `token_too_large`; `unavailable` without a signing key.
 */
export function expectTokenToFit(
  deps: { config: Config; keyring: Keyring; metrics: Metrics; log: Log },
  now: Date,
  session: Omit<Session, 'refreshToken'>,
): void {
  const length = lengthOfAccessToken(deps.keyring, now, inputFor(deps, now, session))
  if (length > MAX_ACCESS_TOKEN) throw tooLarge(deps, session, length)
}

function inputFor(
  { config }: { config: Config },
  now: Date,
  { family, subject, grant, accessTokenSeconds }: Omit<Session, 'refreshToken'>,
): AccessTokenInput {
  return {
    issuer: config.ISSUER,
    lifetimeSeconds: Math.min(accessTokenSeconds, secondsUntil(family.expiresAt, now)),
    userId: subject.id,
    sessionId: family.id,
    clientId: family.clientId,
    scope: grant.scope,
    audience: grant.audience,
    authTime: family.authTime,
    amr: family.amr,
    roles: subject.roles,
    claims: subject.claims,
    dpopJkt: family.dpopJkt,
  }
}

/**
 * Between the whole seconds that `iat` and `exp` are. A token must not outlive its family: once that has come to its absolute end,
 * there is nothing left to end, and a logout would not be told to verifiers. At least one, because the end may come while the
 * request is being answered, and clients expect a lifetime.
 */
function secondsUntil(end: Date, now: Date): number {
  return Math.max(1, Math.floor(end.getTime() / 1000) - Math.floor(now.getTime() / 1000))
}

/** The client can do nothing about it, so the details go to the operator's log. */
function tooLarge(
  { metrics, log }: { metrics: Metrics; log: Log },
  { family, subject }: Pick<Session, 'family' | 'subject'>,
  length: number,
): Problem {
  metrics.tokensTooLarge.inc()
  log.error(
    { userId: subject.id, familyId: family.id, bytes: length, most: MAX_ACCESS_TOKEN },
    'an access token would be too large: take away roles or custom claims',
  )
  return new Problem('token_too_large', { reason: `${length} bytes` })
}
