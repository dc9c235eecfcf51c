import { createHash } from 'node:crypto'
import type { Tally } from '../../audit/tally.ts'
import { type Client, type Clients, onceForEach } from '../../clients/clients.ts'
import { grantNow, type Narrowing, narrowing } from '../../clients/grants.ts'
import { ENOUGH_ROOM, roomForRights } from '../../clients/room.ts'
import type { Clock } from '../../clock.ts'
import type { Db, Delivery } from '../../db/schema.ts'
import type { Shards } from '../../db/shards.ts'
import { Problem, type Reason } from '../../errors.ts'
import type { Keyring } from '../../keys/keyring.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Operation } from '../../operation.ts'
import type { NoticeDeps } from '../../outbox/mail/notices.ts'
import type { ProvenKey } from '../../proven-key.ts'
import { randomBytes } from '../../random.ts'
import type { AppendDeps } from '../../revocations/append.ts'
import { type AuthenticToken, authenticateToken, hashToken, mintSuccessor } from '../../tokens/refresh.ts'
import { type Issued, issue } from '../issue.ts'
import type { Presented } from '../rotation.ts'
import { createCarefulPath } from './careful.ts'
import { createDater, SLOW_ANSWER_MS } from './dater.ts'
import type { Refreshed } from './outcome.ts'
import { createOwed, type Debt, isDecided, ROTATION_REFUSED } from './owed.ts'
import { WINDOW_MS } from './rotation-queries.ts'
import { createRotator } from './rotator.ts'
import { createUnderWay } from './under-way.ts'
import { createUsed } from './used.ts'

export interface RefreshInput {
  /** Undefined if none was sent, which is refused like any other bad token. */
  token: string | undefined
  delivery: Delivery
  clientId: string | undefined
  idempotencyKey: string | undefined
  scope: string | undefined
  audience: string | string[] | undefined
  /**
   * Verifies the proof of possession that came along; undefined if none did. Called before the token is judged, once the request is
   * within its limit.
   * @throws Problem `invalid_dpop_proof`; `unavailable` after too long a wait.
   */
  prove: () => Promise<ProvenKey | undefined>
  /** Whether the client has hung up. */
  isGone: () => boolean
  /** Spends one refresh of the budget of the client's address. */
  spend: () => Promise<Spent>
  /** If that is used up: spends one of the lookups that find out whether the request is a retry. */
  spendLook: () => Promise<Spent>
  /** Spends one refresh of the budget for requests without a token of ours. */
  spendOnGarbage: () => Promise<Spent>
}

/** Whether anything was left to spend; if not, milliseconds until there is. */
export type Spent = { allowed: true } | { allowed: false; remainingMs: number }

type RefreshDeps = NoticeDeps &
  AppendDeps & {
    refreshDb: Db
    rotationDb: Db
    shards: Shards
    clock: Clock
    keyring: Keyring
    metrics: Metrics
    log: Log
    tally: Tally
  }

/**
 * Exchanges a refresh token (RFC 6749 §6, RFC 9700 §4.14.2). The operation is of the moment when the request was there
 * to be read.
 * @throws Problem `invalid_grant`, the same for every cause; `invalid_dpop_proof` without the key that the family is bound
 * to; `invalid_scope` or `invalid_target` if the request asks for more than was granted, or nothing of the grant is left;
 * `token_too_large`; `too_many_requests`; `unavailable`.
 */
export type Refresh = (operation: Operation, input: RefreshInput) => Promise<Issued>

/** @param spendRetry spends one retry of the family's budget, which is as large again as its budget of rotations. */
export function createRefresh(
  deps: RefreshDeps,
  clients: Clients,
  spendRetry: (family: string) => Promise<Spent>,
): Refresh {
  const room = onceForEach((all: readonly Client[]) => roomForRights(deps.config, all))
  const bytes = room(clients.values())
  if (bytes < ENOUGH_ROOM)
    deps.log.warn({ bytes }, 'the settings leave little room for roles and claims in access tokens')
  const rotate = createRotator(deps, { clients, perMinute: deps.config.RATE_LIMIT_FAMILY_PER_MINUTE, room })
  const refreshCarefully = createCarefulPath(deps, clients)
  const dateAnew = createDater(deps)
  const owed = createOwed()
  const underWay = createUnderWay()
  const used = createUsed()
  const graceMs = deps.config.REFRESH_GRACE_SECONDS * 1000

  const exchange = async (
    operation: Operation,
    token: AuthenticToken,
    input: RefreshInput,
    since: Date,
  ): Promise<Exchanged> => {
    // Judged as if whatever came before it had been served by then.
    const wasOld = underWay.isNewest(token) ? used.isPast(token) : true
    const narrow = narrowing(input)
    const spent = await input.spend()
    // Checked before the rotation: without an access token, the client would have to retry anyway.
    if (!deps.keyring.ready()) throw new Problem('unavailable', { reason: 'no signing key', retryAfter: 5 })
    // Retries are answered even over the limit. Only the database can tell a retry, so asking it is limited as well.
    if (!spent.allowed) comeBackSoon(await input.spendLook(), 'look_over_per_minute')
    // A thousand proofs that cost their sender nothing keep a processor busy for a second, so each is paid for like a refresh.
    const presented = presentedBy(token, input, await input.prove())
    if (!spent.allowed) comeBackSoon(await spendRetry(token.family), 'retry_per_minute')
    const salt = randomBytes(16)
    const refreshToken = mintSuccessor(deps.serverKeys[0], token, token.generation + 1, salt)
    const successor = { hash: hashToken(refreshToken), salt }
    const { isGone } = input
    const rotated = spent.allowed
      ? await rotate({ family: token.family, presented, successor, arrivedAt: operation.now, narrow }, isGone)
      : undefined
    if (rotated) {
      used.note(token)
      deps.metrics.refreshes.inc({ outcome: 'rotated' })
      const { subject, ...family } = rotated
      return { kind: 'refreshed', verdict: 'rotate', family, subject, refreshToken, narrow }
    }
    const rotatesAgainIn = spent.allowed ? undefined : Math.ceil(spent.remainingMs / 1000)
    // If the rotation is refused while another attempt with the same token is under way, that attempt may still rotate
    // it: the client is told to come back soon for the result.
    const request = { operation, token, presented, narrow, since, wasOld, isGone, rotatesAgainIn }
    const found = await refreshCarefully(request).catch((error: unknown) => {
      const undecided = error instanceof Problem && ROTATION_REFUSED.has(error.reason) && !underWay.isAlone(token)
      throw undecided
        ? new Problem('too_many_requests', { reason: 'another attempt is under way', retryAfter: 1 })
        : error
    })
    if (found.verdict !== 'retry') used.note(token)
    else if (spent.allowed) comeBackSoon(await spendRetry(token.family), 'retry_per_minute')
    return { ...found, narrow }
  }

  const slow = (from: Date): boolean => deps.clock().getTime() - from.getTime() > SLOW_ANSWER_MS

  /** Notes what is owed to a client that is answered now, in case the answer is lost. */
  const settle = (token: AuthenticToken, arrivedAt: Date, debt: Debt | undefined, answer: Answer): void => {
    const answeredAt = deps.clock()
    const owe = (since: Date, milliseconds: number) =>
      owed.defer(token.hash, { since, until: new Date(answeredAt.getTime() + milliseconds), answered: true })
    if (answer.verdict !== 'retry') {
      if (slow(answer.rotatedAt)) owe(arrivedAt, graceMs)
      else if (debt) owed.settle(token.hash, debt)
      return
    }
    const since = debt?.since ?? arrivedAt
    const left = graceMs - Math.max(0, since.getTime() - answer.rotatedAt.getTime())
    // Only once, otherwise every attempt would extend the grace.
    if (debt ? !debt.answered : slow(arrivedAt)) owe(since, left)
  }

  /** Notes what is owed to a client that comes back although its token has not been refused: it was told to, or it gave up waiting. */
  const defer = (token: AuthenticToken, arrivedAt: Date, debt: Debt | undefined, problem?: Problem): void => {
    const since = debt?.since ?? arrivedAt
    const wait = (problem?.retryAfter ?? 1) * 1000
    // A thief can use up a limit, or hang up, on purpose to stretch the grace, so this extension ends with the next window.
    const longest = problem && problem.status < 500 ? since.getTime() + WINDOW_MS + graceMs : Number.POSITIVE_INFINITY
    const until = new Date(Math.min(deps.clock().getTime() + wait + graceMs, longest))
    owed.defer(token.hash, { since, until, answered: false })
  }

  const answer = async (operation: Operation, token: AuthenticToken, input: RefreshInput): Promise<Issued> => {
    const { now: arrivedAt } = operation
    const debt = owed.find(token.hash, arrivedAt)
    try {
      const exchanged = await exchange(operation, token, input, debt?.since ?? arrivedAt)
      const { verdict, family, subject, refreshToken, narrow } = exchanged
      const client = await clients.find(family.clientId)
      if (!client) throw new Problem('invalid_grant', { reason: 'client_gone' })
      const grant = grantNow(client, family, narrow)
      const issued = await issue(deps, deps.clock(), {
        family,
        subject,
        refreshToken,
        grant,
        accessTokenSeconds: client.lifetimes.accessToken,
      })
      const rotatedAt = verdict === 'retry' ? family.rotatedAt : await dateAnew(family, refreshToken)
      settle(token, arrivedAt, debt, { verdict, rotatedAt })
      return issued
    } catch (error) {
      const problem = error instanceof Problem ? error : undefined
      if (problem?.code === 'too_many_requests') deps.metrics.throttled.inc({ policy: String(problem.reason) })
      // Whoever hangs up before it has waited for long has lost nothing by us.
      const undecided = problem?.reason === 'the client went away' ? slow(arrivedAt) : !isDecided(problem)
      if (undecided) defer(token, arrivedAt, debt, problem)
      throw error
    }
  }

  return async (operation, input) => {
    const token = input.token === undefined ? undefined : authenticateToken(deps.serverKeys, input.token)
    if (!token) return await refuseUnknown(deps, input)
    return await underWay.during(token, () => answer(operation, token, input))
  }
}

interface Answer {
  verdict: Refreshed['verdict']
  rotatedAt: Date
}

type Exchanged = Refreshed & { narrow: Narrowing }

function presentedBy(
  token: AuthenticToken,
  { idempotencyKey, delivery, clientId }: RefreshInput,
  proof: ProvenKey | undefined,
): Presented {
  return {
    generation: token.generation,
    hash: token.hash,
    keyHash: idempotencyKey === undefined ? null : createHash('sha256').update(idempotencyKey).digest(),
    delivery,
    clientId: clientId ?? null,
    proof: proof ?? null,
  }
}

/** Limited like any other request. If the counters cannot be reached, the token is refused all the same. */
async function refuseUnknown({ metrics }: RefreshDeps, input: RefreshInput): Promise<never> {
  const { token, prove, spendOnGarbage } = input
  const spent = await spendOnGarbage().catch((): Spent => ({ allowed: true }))
  if (!spent.allowed) {
    const reason = 'refresh_per_minute'
    metrics.throttled.inc({ policy: reason })
    throw new Problem('too_many_requests', { reason, retryAfter: Math.ceil(spent.remainingMs / 1000) })
  }
  await prove()
  metrics.refreshes.inc({ outcome: 'not_ours' })
  throw new Problem('invalid_grant', { reason: token === undefined ? 'no_token' : 'not_ours' })
}

/** Retry after a second: the grace of a retry runs out long before the budget of the next minute. */
function comeBackSoon(spent: Spent, reason: Reason): void {
  if (!spent.allowed) throw new Problem('too_many_requests', { reason, retryAfter: 1 })
}
