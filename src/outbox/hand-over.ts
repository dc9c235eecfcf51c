import { setTimeout as sleep } from 'node:timers/promises'
import { record } from '../audit/audit.ts'
import type { Clock } from '../clock.ts'
import type { KeyList } from '../config/secrets.ts'
import { isUnavailable, transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { MINUTE, SECOND } from '../durations.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { byServer } from '../operation.ts'
import { decide, type Ending, isUsedUp, type Verdict } from './decide.ts'
import { NotDelivered, Undeliverable, wordsFor } from './failure.ts'
import type { Attempt, Handlers } from './outbox.ts'
import { openPayload } from './payload.ts'
import { bury, deleteDelivered, postpone, type Taken } from './queries.ts'

export interface HandOverDeps {
  db: Db
  clock: Clock
  log: Log
  metrics: Metrics
  serverKeys: KeyList
}

export const OUTCOMES = ['delivered', 'retried', 'dead', 'given_back'] as const

/** The longest that a handler may take. */
const PATIENCE_MS = MINUTE
/**
 * When another replica may take a delivery whose attempt has not ended: later than the attempt can, and what it ended with
 * has been noted.
 */
export const LEASE_MS = 2 * MINUTE

/** Makes one attempt and notes how it ended. @param stopping is aborted when the server waits no longer. */
export async function handOver(
  deps: HandOverDeps,
  handlers: Handlers,
  taken: Taken,
  stopping: AbortSignal,
): Promise<void> {
  const noteUntil = performance.now() + LEASE_MS
  const about = { delivery: taken.id, kind: taken.kind, attempt: taken.attempts }
  const { ending, failure } = await attempt(deps, handlers, taken, stopping)
  const now = deps.clock()
  const verdict = decide({ ending, attempts: taken.attempts, ageMs: now.getTime() - taken.enqueuedAt.getTime() })
  deps.metrics.deliveries.inc({ kind: taken.kind, outcome: outcomeOf(ending, verdict) })
  if (verdict.next === 'retry') deps.log.info({ ...about, reason: failure }, 'a delivery failed; it is tried again')
  if (verdict.next === 'bury') deps.log.error({ ...about, reason: failure }, 'a delivery was given up')
  try {
    await persist(() => note(deps.db, now, taken, { verdict, failure }), noteUntil, stopping)
  } catch (error) {
    deps.log.error({ err: error, ...about }, 'how a delivery ended could not be noted; it is made once more')
  }
}

/** Never rejects. @returns how it ended, and for failures why. */
async function attempt(
  deps: HandOverDeps,
  handlers: Handlers,
  taken: Taken,
  stopping: AbortSignal,
): Promise<{ ending: Ending; failure: string }> {
  if (isUsedUp(taken.attempts)) return { ending: 'failed', failure: 'no attempt came to its end' }
  const opened = openPayload(deps.serverKeys, taken)
  if (!opened) return { ending: 'unreadable', failure: 'no entry of CLAVIGER_SECRET opens it' }
  const tooLong = AbortSignal.timeout(PATIENCE_MS)
  const signal = AbortSignal.any([stopping, tooLong])
  const { id, attempts: number, enqueuedAt } = taken
  try {
    await unlessAborted(signal, () => handle(handlers, taken.kind, opened.payload, { id, number, enqueuedAt, signal }))
    return { ending: 'delivered', failure: '' }
  } catch (error) {
    if (stopping.aborted) return { ending: 'interrupted', failure: 'the server stopped' }
    if (tooLong.aborted) return { ending: 'failed', failure: `not done within ${PATIENCE_MS / SECOND} s` }
    if (!(error instanceof NotDelivered) && !isUnavailable(error)) {
      deps.log.error({ err: error, delivery: id, kind: taken.kind }, 'a delivery failed for an unexpected reason')
    }
    return { ending: error instanceof Undeliverable ? 'refused' : 'failed', failure: wordsFor(error) }
  }
}

async function handle(handlers: Handlers, kind: string, payload: unknown, attempt: Attempt): Promise<void> {
  const handler = (handlers as Record<string, ((payload: unknown, attempt: Attempt) => Promise<void>) | undefined>)[
    kind
  ]
  if (!handler) throw new NotDelivered('no handler')
  await handler(payload, attempt)
}

/** Waits for work no longer than until the signal. What the work does later, nobody hears. */
function unlessAborted(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error('aborted'))
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    work().then(resolve, reject)
  })
}

function outcomeOf(ending: Ending, verdict: Verdict): (typeof OUTCOMES)[number] {
  if (ending === 'delivered') return 'delivered'
  if (ending === 'interrupted') return 'given_back'
  return verdict.next === 'bury' ? 'dead' : 'retried'
}

async function note(
  db: Db,
  now: Date,
  taken: Taken,
  { verdict, failure }: { verdict: Verdict; failure: string },
): Promise<void> {
  switch (verdict.next) {
    case 'delete':
      return await deleteDelivered(db, taken)
    case 'retry':
      return await postpone(db, taken, { dueAt: new Date(now.getTime() + verdict.inMs), failure })
    case 'bury':
      return await transact(db, async (tx) => {
        if (!(await bury(tx, now, taken, failure))) return
        const details = { delivery: taken.id, kind: taken.kind, attempts: taken.attempts }
        await record(tx, byServer(now), { type: 'delivery.dead', outcome: 'failure', reason: verdict.reason, details })
      })
    default:
      return verdict satisfies never
  }
}

/** While the database is away, until the lease is over: what has been handed over is not to go out again. */
async function persist(write: () => Promise<void>, until: number, stopping: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await write()
    } catch (error) {
      if (!isUnavailable(error) || stopping.aborted || performance.now() > until) throw error
    }
    await sleep(SECOND)
  }
}
