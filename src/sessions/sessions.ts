import { createHash, randomBytes } from 'node:crypto'
import { type Actor, type EndCause, type RequestFacts, record, recording } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import type { Db, Delivery, Tx } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { issueAccessToken } from '../tokens/access.ts'
import { type AuthenticToken, authenticateToken, hashToken, mintFirst, mintSuccessor } from '../tokens/refresh.ts'
import { refreshCarefully } from './careful.ts'
import type { Client, Clients } from './clients.ts'
import { type Grant, narrowing } from './grants.ts'
import { endFamiliesOf, endFamily, type FamilyFacts, insertFamily, lockFamily, type Subject } from './queries.ts'
import { endsIfUnused } from './rotation.ts'
import type { Rotate } from './rotator.ts'

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

export interface StartInput {
  subject: Subject
  client: Client
  grant: Grant
  remember: boolean
  amr: string[]
  facts: RequestFacts
  /** Refresh token that the browser sent along: the session it is about to overwrite. */
  replaces?: string | undefined
}

/**
 * Starts a family and records the sign-in, in the caller's transaction with its other effects. The caller holds the user's
 * row, so that no disable, password change or other sign-in of the user comes in between.
 */
export async function startSession(
  deps: Pick<Deps, 'config' | 'serverKeys'>,
  tx: Tx,
  now: Date,
  input: StartInput,
): Promise<Session> {
  const { config, serverKeys } = deps
  const { subject, client, facts } = input
  if (input.replaces) await endReplaced(deps, tx, now, input.replaces, client, facts)

  const remember = input.remember || client.delivery === 'body'
  const { token: refreshToken, family: id } = mintFirst(serverKeys)
  const maxSeconds = remember ? config.REMEMBER_MAX_SECONDS : config.SESSION_MAX_SECONDS
  const family = {
    id,
    clientId: client.id,
    delivery: client.delivery,
    remember,
    scope: input.grant.scope,
    audience: input.grant.audience,
    amr: input.amr,
    authTime: now,
    expiresAt: new Date(now.getTime() + maxSeconds * 1000),
    idleSeconds: remember ? config.REMEMBER_IDLE_SECONDS : config.SESSION_IDLE_SECONDS,
  }
  const login = { type: 'login', outcome: 'success', userId: subject.id, familyId: id, clientId: client.id } as const
  const surplusIds = await insertFamily(
    tx,
    now,
    {
      ...family,
      userId: subject.id,
      currentHash: hashToken(refreshToken),
      userAgent: facts.userAgent,
      address: facts.address,
    },
    { event: recording(now, 'user', login, facts), keep: config.SESSIONS_PER_USER - 1 },
  )
  for (const surplus of surplusIds) {
    await endOne(tx, now, { id: surplus, userId: subject.id, cause: 'too_many_sessions', actor: 'server', facts })
  }
  return { family: { ...family, rotatedAt: now }, subject, refreshToken, grant: input.grant }
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

/** Ends the family of a refresh token, whatever its generation. Silent when there is nothing to end (RFC 7009 §2.2). */
export async function logout(
  deps: Pick<Deps, 'db' | 'clock' | 'serverKeys'>,
  input: { token: string | undefined; delivery: Delivery },
  facts: RequestFacts,
): Promise<void> {
  const token = input.token === undefined ? undefined : authenticateToken(deps.serverKeys, input.token)
  if (!token) return
  const now = deps.clock()
  await transact(deps.db, async (tx) => {
    const family = await lockFamily(tx, token.family)
    if (!family || family.state.endedAt) return
    const about = { userId: family.subject.id, familyId: token.family, clientId: family.state.clientId }
    if (family.state.delivery !== input.delivery) {
      await record(
        tx,
        now,
        'anonymous',
        { type: 'refresh.refused', outcome: 'failure', reason: 'wrong_delivery', ...about },
        facts,
      )
      return
    }
    await endOne(tx, now, { id: token.family, userId: family.subject.id, cause: 'logout', actor: 'user', facts })
  })
}

/**
 * The cookie that came with a sign-in is about to be overwritten, and nobody could end its family any more. A token that
 * is not ours, or of another client, is ignored.
 */
async function endReplaced(
  deps: Pick<Deps, 'serverKeys'>,
  tx: Tx,
  now: Date,
  text: string,
  client: Client,
  facts: RequestFacts,
): Promise<void> {
  const token: AuthenticToken | undefined = authenticateToken(deps.serverKeys, text)
  const family = token && (await lockFamily(tx, token.family))
  if (!family || family.state.clientId !== client.id || family.state.delivery !== client.delivery) return
  await endOne(tx, now, {
    id: family.facts.id,
    userId: family.subject.id,
    cause: 'replaced_by_login',
    actor: 'user',
    facts,
  })
}

export interface EndInput {
  userId: string
  cause: EndCause
  actor: Actor
  facts: RequestFacts
}

/** Ends one live family, with its audit event. @returns whether there was one to end. */
export async function endOne(
  tx: Tx,
  now: Date,
  { id, userId, cause, actor, facts }: EndInput & { id: string },
): Promise<boolean> {
  const ended = await endFamily(tx, id, now, cause)
  if (ended)
    await record(
      tx,
      now,
      actor,
      { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId: id },
      facts,
    )
  return ended
}

/** Ends every live family of a user but the one excepted. @returns how many. */
export async function endAll(
  tx: Tx,
  now: Date,
  { userId, cause, actor, facts, except }: EndInput & { except?: string | undefined },
): Promise<number> {
  const ended = await endFamiliesOf(tx, userId, now, cause, except)
  for (const familyId of ended) {
    await record(tx, now, actor, { type: 'session.ended', outcome: 'success', reason: cause, userId, familyId }, facts)
  }
  return ended.length
}

/** Ends a session for its own user. @returns false if it is not a live session of this user. */
export async function endOwn(
  deps: Pick<Deps, 'clock'> & { db: Db },
  userId: string,
  sessionId: string,
  facts: RequestFacts,
): Promise<boolean> {
  const now = deps.clock()
  return await transact(deps.db, async (tx) => {
    const family = await lockFamily(tx, sessionId)
    if (!family || family.subject.id !== userId || now >= endsIfUnused(family.state)) return false
    return await endOne(tx, now, { id: sessionId, userId, cause: 'session_ended_by_user', actor: 'user', facts })
  })
}
