import { setTimeout as sleep } from 'node:timers/promises'
import { record } from '../../audit/audit.ts'
import type { TalliedEvent } from '../../audit/events.ts'
import type { Clients } from '../../clients/clients.ts'
import { grantNow } from '../../clients/grants.ts'
import { isHeld, transact } from '../../db/errors.ts'
import { share } from '../../db/pools.ts'
import type { Tx } from '../../db/schema.ts'
import { Problem } from '../../errors.ts'
import type { Operation } from '../../operation.ts'
import { tellOwner } from '../../outbox/mail/notices.ts'
import { append } from '../../revocations/append.ts'
import { createKeyedMutex, createSemaphore } from '../../semaphore.ts'
import { endFamily } from '../end-queries.ts'
import { expectTokenToFit } from '../issue.ts'
import { type LockedFamily, lockFamily } from '../queries.ts'
import { decide, type Verdict } from '../rotation.ts'
import { about, type CarefulDeps, type Held, type Outcome, type Refreshed, type Request } from './outcome.ts'
import { answerAgain, replaceToken } from './successors.ts'

export type RefreshCarefully = (request: Request) => Promise<Refreshed>

const MOST_IN_LINE = 512
/** The same as for any other wait for the database. */
const LONGEST_WAIT_MS = 2000
const LOOK_AGAIN_MS = 25

/**
 * The careful path: locks the family, decides, acts, commits, and only then answers. An error thrown inside the
 * transaction would roll the verdict back, and a stolen family would live on.
 *
 * If the row is locked, it is tried again a moment later, so that the connection can serve other families in between.
 */
export function createCarefulPath(deps: CarefulDeps, clients: Clients): RefreshCarefully {
  // Otherwise requests of one family would all wait for the same row, each holding a connection.
  const oneOfAFamily = createKeyedMutex(MOST_IN_LINE)
  const connections = createSemaphore({
    permits: Math.max(1, share(deps.config.DATABASE_POOL_SIZE).refreshes),
    queue: MOST_IN_LINE,
    refusal: tooLong,
  })

  const attempt = async (request: Request, giveUpAt: number): Promise<Outcome | 'held'> => {
    try {
      return await connections.run(() => {
        if (performance.now() > giveUpAt) throw tooLong()
        return transact(deps.refreshDb, (tx) => lockAndDecide(deps, clients, tx, request))
      })
    } catch (error) {
      if (isHeld(error)) return 'held'
      throw error
    }
  }

  /** Records a suspicion. If that fails, the client is still answered. */
  const note = async (operation: Operation, suspicion: TalliedEvent): Promise<void> => {
    try {
      await deps.tally.add(operation, suspicion)
    } catch (err) {
      deps.log.error({ err, type: suspicion.type, familyId: suspicion.familyId }, 'a suspicion could not be recorded')
    }
  }

  return async (request) => {
    const giveUpAt = performance.now() + LONGEST_WAIT_MS
    const outcome = await oneOfAFamily(request.token.family, async () => {
      for (;;) {
        const found = await attempt(request, giveUpAt)
        if (found !== 'held') return found
        await sleep(LOOK_AGAIN_MS * (0.5 + Math.random()))
        if (request.isGone() && !request.wasOld) throw goneAway()
      }
    })
    count(deps, outcome)
    const operation = { ...request.operation, now: deps.clock() }
    if (outcome.kind === 'problem') {
      if (outcome.refusal) await deps.tally.add(operation, outcome.refusal)
      throw outcome.problem
    }
    if (outcome.suspicion) await note(operation, outcome.suspicion)
    return outcome
  }
}

function tooLong(): Problem {
  return new Problem('unavailable', { reason: 'waited too long for the family', retryAfter: 1 })
}

function goneAway(): Problem {
  return new Problem('invalid_request', { reason: 'the client went away' })
}

async function lockAndDecide(deps: CarefulDeps, clients: Clients, tx: Tx, request: Request): Promise<Outcome> {
  const family = await lockFamily(tx, request.token.family, { wait: false })
  // The time is read after the lock: one from before the wait would shorten the grace of the new token.
  const operation = { ...request.operation, now: deps.clock() }
  const { since, wasOld } = request
  const moment = { arrivedAt: request.operation.now, since, now: operation.now, wasOld }
  const verdict = decide(request.presented, family?.state, moment, deps.config)
  // Nobody would receive a token, and the client may have asked again meanwhile, and gone on with what it got. What was old when it
  // arrived is a replay all the same: a thief must not keep it from being noticed by hanging up.
  const isReplay = verdict.kind === 'reuse' && wasOld === true
  if (request.isGone() && !isReplay) return { kind: 'problem', problem: goneAway() }
  if (verdict.kind === 'refuse') return refuse(family, verdict)
  if (verdict.kind === 'overtaken') {
    return { kind: 'problem', problem: new Problem('too_many_requests', { reason: 'overtaken', retryAfter: 1 }) }
  }
  if (!family) throw new Error('a verdict other than refusal needs a family')
  const held = { tx, operation, family, request }
  if (verdict.kind === 'reuse') return await endForReuse(deps, held, verdict)
  const problem = await forbid(deps, clients, held)
  if (problem) return { kind: 'problem', problem }
  return verdict.kind === 'retry' ? await answerAgain(deps, held) : await replaceToken(deps, held, verdict)
}

/** Refuses, as the hot path does, a request for which no access token could be issued. Nothing is changed then. */
async function forbid(deps: CarefulDeps, clients: Clients, held: Held): Promise<Problem | undefined> {
  const { facts: family, subject } = held.family
  const client = await clients.find(family.clientId)
  if (!client) return new Problem('invalid_grant', { reason: 'client_gone' })
  try {
    expectTokenToFit(deps, held.operation.now, {
      family,
      subject,
      grant: grantNow(client, family, held.request.narrow),
      accessTokenSeconds: client.lifetimes.accessToken,
    })
    return undefined
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

function refuse(family: LockedFamily | undefined, { reason }: Verdict & { kind: 'refuse' }): Outcome {
  const problem = new Problem('invalid_grant', { reason })
  // Tokens of sessions that have ended are an everyday matter. Other refusals may be attacks, so they are recorded.
  if (!family || reason === 'unknown_family' || reason === 'ended' || reason === 'expired') {
    return { kind: 'problem', problem }
  }
  if (reason === 'no_proof' || reason === 'other_key') {
    const refusal = { type: 'refresh.dpop_refused', outcome: 'failure', reason, ...about(family) } as const
    return { kind: 'problem', problem: new Problem('invalid_dpop_proof', { reason }), refusal }
  }
  const refusal = { type: 'refresh.refused', outcome: 'failure', reason, ...about(family) } as const
  return { kind: 'problem', problem, refusal }
}

async function endForReuse(
  deps: CarefulDeps,
  { tx, operation, family, request }: Held,
  { reason }: Verdict & { kind: 'reuse' },
): Promise<Outcome> {
  const { id } = family.facts
  await endFamily(tx, id, operation.now, 'reuse_detected')
  const details = { presented: request.presented.generation, current: family.state.generation }
  const found = { type: 'refresh.reuse_detected', outcome: 'failure', reason, details, ...about(family) } as const
  await record(tx, operation, found)
  const ended = { type: 'session.ended', outcome: 'success', reason: 'reuse_detected', ...about(family) } as const
  const byRule: Operation = { ...operation, actor: 'server' }
  await record(tx, byRule, ended)
  await append(tx, deps, byRule, [{ kind: 'session', sid: id, userId: family.subject.id }])
  await tellOwner(tx, deps, operation, { userId: family.subject.id, cause: 'session-reuse' })
  return { kind: 'problem', problem: new Problem('invalid_grant', { reason }), reuse: true }
}

/** Called after the commit, because a counter cannot be rolled back. */
function count({ metrics }: CarefulDeps, outcome: Outcome): void {
  if (outcome.kind === 'refreshed') {
    metrics.refreshes.inc({ outcome: outcome.verdict === 'rotate' ? 'rotated' : outcome.verdict })
    if (outcome.verdict === 'retry') metrics.retries.inc()
    if (outcome.streak) metrics.retryStreaks.inc()
    return
  }
  metrics.refreshes.inc({ outcome: outcome.reuse ? 'reuse' : outcome.problem.code })
  if (outcome.reuse) metrics.reuseDetected.inc()
}
