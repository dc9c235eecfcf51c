import { createHash, randomBytes } from 'node:crypto'
import type { RequestFacts } from '../audit/audit.ts'
import type { Delivery } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { type AuthenticToken, authenticateToken, hashToken, mintSuccessor } from '../tokens/refresh.ts'
import { createCarefulPath } from './careful.ts'
import type { Clients } from './clients.ts'
import { createDater } from './dater.ts'
import { grantNow, type Narrowing, narrowing } from './grants.ts'
import { type Issued, issue } from './issue.ts'
import type { Refreshed } from './outcome.ts'
import { createOwed } from './owed.ts'
import { roomForRights } from './room.ts'
import type { Presented } from './rotation.ts'
import { createRotator } from './rotator.ts'

export interface RefreshInput {
  /** Undefined: none came, which is answered like any other refusal. */
  token: string | undefined
  delivery: Delivery
  clientId: string | undefined
  idempotencyKey: string | undefined
  scope: string | undefined
  audience: string | string[] | undefined
  /** When the request was there to be read, on the database's clock. */
  arrivedAt: Date
  /** Whether whoever asked has hung up. */
  isGone: () => boolean
  /** Takes one refresh from what the client's address may have. */
  spend: () => Promise<Spent>
  /** Where it may have no more: takes one look at whether it is a retry. */
  spendLook: () => Promise<Spent>
}

/** Whether there was something left to spend; if not, milliseconds until there is. */
export type Spent = { allowed: true } | { allowed: false; remainingMs: number }

type RefreshDeps = Pick<
  Deps,
  'config' | 'serverKeys' | 'refreshDb' | 'rotationDb' | 'clock' | 'keyring' | 'metrics' | 'log' | 'tally'
>

/**
 * Exchanges a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
 * @throws Problem `invalid_grant`, the same for every cause; `invalid_scope` or `invalid_target` if more was asked for than
 * was granted, or nothing is left of it; `token_too_large`; `too_many_requests`; `unavailable`.
 */
export type Refresh = (input: RefreshInput, facts: RequestFacts) => Promise<Issued>

/** A retry that took longer than this gets back the time that it has waited. */
const SLOW_ANSWER_MS = 1000

/** Bytes: below it, ISSUER, AUDIENCE and SCOPES are longer than tokens of 4096 bytes should hold. */
const LITTLE_ROOM = 512

/** @param spendRetry takes one retry from what a family may have, which is as much again as it may rotate. */
export function createRefresh(
  deps: RefreshDeps,
  clients: Clients,
  spendRetry: (family: string) => Promise<Spent>,
): Refresh {
  const room = roomForRights(deps.config, clients)
  if (room < LITTLE_ROOM)
    deps.log.warn({ bytes: room }, 'the settings leave little room for roles and claims in access tokens')
  const rotate = createRotator(deps, { clients, perMinute: deps.config.RATE_LIMIT_FAMILY_PER_MINUTE, room })
  const refreshCarefully = createCarefulPath(deps, clients)
  const dateAnew = createDater(deps)
  const owed = createOwed()
  const graceMs = deps.config.REFRESH_GRACE_SECONDS * 1000

  const exchange = async (token: AuthenticToken, input: RefreshInput, facts: RequestFacts): Promise<Exchanged> => {
    const narrow = narrowing(input)
    const spent = await input.spend()
    // Before the rotation: a rotated token without an access token would only have to be retried.
    if (!deps.keyring.ready()) throw new Problem('unavailable', { reason: 'no signing key', retryAfter: 5 })
    // Whether it is a retry is known to the database alone, which must not be asked without bound either.
    if (!spent.allowed) {
      refuseOver(await input.spendLook(), 'look_over_per_minute')
      refuseOver(await spendRetry(token.family), 'retry_per_minute')
    }

    const presented = presentedBy(token, input)
    const salt = randomBytes(16)
    const refreshToken = mintSuccessor(deps.serverKeys[0], token, token.generation + 1, salt)
    const successor = { hash: hashToken(refreshToken), salt }
    const { arrivedAt, isGone } = input
    const rotated = spent.allowed
      ? await rotate({ family: token.family, presented, successor, arrivedAt, narrow }, isGone)
      : undefined
    if (rotated) {
      deps.metrics.refreshes.inc({ outcome: 'rotated' })
      const { subject, ...family } = rotated
      return { kind: 'refreshed', verdict: 'rotate', family, subject, refreshToken, narrow }
    }
    const rotatesAgainIn = spent.allowed ? undefined : Math.ceil(spent.remainingMs / 1000)
    const found = await refreshCarefully({ token, presented, narrow, arrivedAt, isGone, rotatesAgainIn }, facts)
    if (found.verdict === 'retry' && spent.allowed) refuseOver(await spendRetry(token.family), 'retry_per_minute')
    return { ...found, narrow }
  }

  return async (input, facts) => {
    const token = input.token === undefined ? undefined : authenticateToken(deps.serverKeys, input.token)
    if (!token) return await refuseUnknown(deps, input)

    const arrivedAt = owed.arrival(token.hash, input.arrivedAt)
    try {
      const exchanged = await exchange(token, { ...input, arrivedAt }, facts)
      const { family, subject, refreshToken, narrow } = exchanged
      const client = clients.get(family.clientId)
      if (!client) throw new Problem('invalid_grant', { reason: 'client_gone' })
      const now = deps.clock()
      const issued = await issue(deps, now, { family, subject, refreshToken, grant: grantNow(client, family, narrow) })
      if (exchanged.verdict !== 'retry') {
        await dateAnew({ family: family.id, currentHash: hashToken(refreshToken) }, family.rotatedAt)
      }
      const answeredAt = deps.clock()
      const waited = answeredAt.getTime() - arrivedAt.getTime()
      if (exchanged.verdict === 'retry' && waited > SLOW_ANSWER_MS) {
        const graceUsed = Math.max(0, arrivedAt.getTime() - family.rotatedAt.getTime())
        owed.defer(token.hash, arrivedAt, new Date(answeredAt.getTime() + graceMs - graceUsed))
      } else owed.settle(token.hash)
      return issued
    } catch (error) {
      const problem = error instanceof Problem ? error : undefined
      if (problem?.code === 'too_many_requests') deps.metrics.throttled.inc({ policy: String(problem.reason) })
      // Anything but a decision: nobody says no to this token, it is asked to come again.
      if (!problem || problem.status === 429 || problem.status >= 500) {
        const wait = (problem?.retryAfter ?? 1) * 1000
        owed.defer(token.hash, arrivedAt, new Date(deps.clock().getTime() + wait + graceMs))
      }
      throw error
    }
  }
}

type Exchanged = Refreshed & { narrow: Narrowing }

function presentedBy(token: AuthenticToken, { idempotencyKey, delivery, clientId }: RefreshInput): Presented {
  return {
    generation: token.generation,
    hash: token.hash,
    keyHash: idempotencyKey === undefined ? null : createHash('sha256').update(idempotencyKey).digest(),
    delivery,
    clientId: clientId ?? null,
  }
}

/** Costs no query, but is not free: garbage is limited as everything else is. */
async function refuseUnknown({ metrics }: RefreshDeps, { token, spend }: RefreshInput): Promise<never> {
  const spent = await spend()
  if (!spent.allowed) {
    throw new Problem('too_many_requests', {
      reason: 'refresh_per_minute',
      retryAfter: Math.ceil(spent.remainingMs / 1000),
    })
  }
  metrics.refreshes.inc({ outcome: 'not_ours' })
  throw new Problem('invalid_grant', { reason: token === undefined ? 'no_token' : 'not_ours' })
}

/** A second: whoever retries has a grace that runs out, and the next minute's budget would not help them. */
function refuseOver(spent: Spent, reason: string): void {
  if (!spent.allowed) throw new Problem('too_many_requests', { reason, retryAfter: 1 })
}
