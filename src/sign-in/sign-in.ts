import { randomUUID } from 'node:crypto'
import { record } from '../audit/audit.ts'
import type { Tally } from '../audit/tally.ts'
import type { Client } from '../clients/clients.ts'
import { grantFor } from '../clients/grants.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { PASSWORD_DISABLED } from '../credentials/attempt-queries.ts'
import { BACKOFF_STARTS, clearFailures, identify } from '../credentials/attempts.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import { type Proof, prove } from '../credentials/passwords/proof.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { RequestFacts } from '../facts.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Principal } from '../sessions/authenticate.ts'
import { endAll } from '../sessions/end.ts'
import { expectTokenToFit, type Issued, issue } from '../sessions/issue.ts'
import { startSession } from '../sessions/start.ts'
import { normaliseEmail } from '../users/email.ts'
import { insertUser, type User, writePasswordHash } from '../users/queries.ts'

/**
 * Makes an account, and signs nobody in.
 * @throws Problem registration_closed, invalid_email, password_*, overloaded; email_taken.
 */
export async function register(
  deps: { db: Db; clock: Clock; config: Config; hasher: PasswordHasher; serverKeys: KeyList; tally: Tally },
  input: { email: string; password: string },
  facts: RequestFacts,
): Promise<User> {
  if (deps.config.REGISTRATION !== 'open') throw new Problem('registration_closed')
  const email = normaliseEmail(input.email)
  checkNewPassword(deps.config, email, input.password)
  const passwordHash = await deps.hasher.hash(input.password)
  const now = deps.clock()
  const user = await transact(deps.db, async (tx) => {
    const added = await insertUser(tx, { id: randomUUID(), email, passwordHash, roles: [], createdAt: now })
    if (!added) return undefined
    // What strangers have tried before there was an account is nothing that they have tried on it.
    await clearFailures(tx, deps.serverKeys, added)
    await record(tx, now, 'anonymous', { type: 'user.registered', outcome: 'success', userId: added.id }, facts)
    return added
  })
  if (user) return user
  const taken = { type: 'user.registered', outcome: 'failure', reason: 'email_taken' } as const
  await deps.tally.add(now, 'anonymous', taken, facts)
  throw new Problem('email_taken')
}

interface SignInInput {
  email: string
  password: string
  client: Client
  /** Browser clients keep the session beyond the browser's; native ones always do. */
  remember: boolean
  scope?: string | undefined
  audience?: string | string[] | undefined
  /** Refresh token of the cookie that came along. It identifies nobody; its session ends. */
  replaces?: string | undefined
}

/**
 * Starts a session for whoever knows the password. Refusals are one answer, after the same work, whatever their cause.
 * @throws Problem invalid_email, invalid_scope, invalid_target; invalid_credentials; too_many_requests;
 * token_too_large; overloaded; unavailable.
 */
export async function signIn(
  deps: {
    db: Db
    clock: Clock
    config: Config
    hasher: PasswordHasher
    serverKeys: KeyList
    keyring: Keyring
    metrics: Metrics
    log: Log
    tally: Tally
  },
  input: SignInInput,
  facts: RequestFacts,
): Promise<Issued> {
  const { client } = input
  const email = normaliseEmail(input.email)
  const grant = grantFor(client, input)
  // Before the work: a session without an access token would be of no use to anybody.
  if (!deps.keyring.ready()) throw new Problem('unavailable', { reason: 'no signing key', retryAfter: 5 })
  // In a flood most are turned away. What they cost must not be the database's time, which refreshes need.
  deps.hasher.expectRoom()

  const now = deps.clock()
  const proof = await prove(
    deps,
    now,
    { email, password: input.password },
    {
      prepare: (found) => rehash(deps, found, input.password),
      commit: async (tx, subject, stronger) => {
        if (stronger) await writePasswordHash(tx, subject.id, stronger)
        const { remember, replaces } = input
        const session = { subject, client, grant, remember, replaces, amr: ['pwd'], facts }
        const started = await startSession(deps, tx, now, session)
        expectTokenToFit(deps, now, started)
        return started
      },
    },
  )
  if (proof.kind === 'proven') {
    deps.metrics.logins.inc({ outcome: 'success' })
    return await issue(deps, now, proof.value)
  }

  deps.metrics.logins.inc({ outcome: proof.kind === 'held_off' ? 'backoff' : 'failure' })
  const identifier = identify(deps.serverKeys, email)
  const details = proof.kind === 'refused' ? { identifier, failures: proof.failures } : { identifier }
  const about = { userId: proof.user?.id ?? null, clientId: client.id }
  const failed = { type: 'login', outcome: 'failure', reason: proof.reason, details, ...about } as const
  await deps.tally.add(now, 'anonymous', failed, facts)
  return await refuse(deps, now, identifier, proof, facts)
}

/**
 * Changes the password of whoever is signed in and knows the present one, and ends all other sessions. Guesses count as
 * failed sign-ins do, so a stolen access token is no way around the back-off.
 * @throws Problem password_*; invalid_credentials; too_many_requests; overloaded; unavailable.
 */
export async function changePassword(
  deps: {
    db: Db
    clock: Clock
    config: Config
    hasher: PasswordHasher
    serverKeys: KeyList
    metrics: Metrics
    log: Log
    tally: Tally
  },
  principal: Principal,
  input: { currentPassword: string; newPassword: string },
  facts: RequestFacts,
): Promise<void> {
  const { id, email } = principal.subject
  checkNewPassword(deps.config, email, input.newPassword)
  const now = deps.clock()
  const proof = await prove(
    deps,
    now,
    { email, id, password: input.currentPassword },
    {
      prepare: () => deps.hasher.hash(input.newPassword),
      commit: async (tx, subject, passwordHash) => {
        await writePasswordHash(tx, subject.id, passwordHash)
        await endAll(tx, now, {
          userId: id,
          cause: 'password_changed',
          actor: 'user',
          facts,
          except: principal.sessionId,
        })
        const about = { userId: id, familyId: principal.sessionId, clientId: principal.clientId }
        await record(tx, now, 'user', { type: 'password.changed', outcome: 'success', ...about }, facts)
      },
    },
  )
  if (proof.kind === 'proven') return

  const reason = proof.kind === 'held_off' ? 'backoff' : 'wrong_password'
  const about = { userId: id, familyId: principal.sessionId, clientId: principal.clientId }
  await deps.tally.add(now, 'user', { type: 'password.changed', outcome: 'failure', reason, ...about }, facts)
  await refuse(deps, now, identify(deps.serverKeys, email), proof, facts)
}

/** A hash from the time of weaker settings, made anew. That this cannot be done now is no reason to refuse a sign-in. */
async function rehash(
  deps: { hasher: PasswordHasher; log: Log },
  user: User,
  password: string,
): Promise<string | undefined> {
  if (user.passwordHash === null || !deps.hasher.needsRehash(user.passwordHash)) return undefined
  try {
    return await deps.hasher.hash(password)
  } catch (err) {
    deps.log.warn({ err }, 'a weak password hash was not renewed; the next sign-in tries again')
    return undefined
  }
}

/** Writes down what the failure set off, and answers it. The answer depends on the counter alone. */
async function refuse(
  deps: { db: Db; metrics: Metrics },
  now: Date,
  identifier: string,
  proof: Exclude<Proof<never>, { kind: 'proven' }>,
  facts: RequestFacts,
): Promise<never> {
  if (proof.kind === 'held_off') {
    deps.metrics.throttled.inc({ policy: 'account' })
    throw new Problem('too_many_requests', {
      detail: 'Too many failed attempts for this account.',
      reason: 'backoff',
      retryAfter: proof.retryAfter,
    })
  }
  const { failures, reason } = proof
  const set = SET_OFF.find(({ at }) => at === failures)
  if (set) {
    const about = { userId: proof.user?.id ?? null, details: { identifier, failures } }
    await record(deps.db, now, 'server', { type: set.type, outcome: 'success', ...about }, facts)
  }
  throw new Problem('invalid_credentials', { reason })
}

const SET_OFF = [
  { at: BACKOFF_STARTS, type: 'login.backoff_started' },
  { at: PASSWORD_DISABLED, type: 'login.password_disabled' },
] as const
