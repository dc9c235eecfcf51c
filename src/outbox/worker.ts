import { setTimeout as sleep } from 'node:timers/promises'
import type { Bell } from '../bell.ts'
import { SECOND } from '../durations.ts'
import { repeat } from '../schedule.ts'
import { type HandOverDeps, handOver, LEASE_MS, OUTCOMES } from './hand-over.ts'
import type { Handlers } from './outbox.ts'
import { takeDue } from './queries.ts'

/** Deliveries of one kind that are handed over at a time: those of a slow kind do not keep another one waiting. */
const LANES = 4
/** What other replicas left behind, and what is tried again, waits so long at most. */
const LOOK_EVERY_MS = 5 * SECOND
/** What is enqueued within this time is taken together: a flood of requests costs few looks. */
const GATHER_MS = 100

export interface Worker {
  /** Since when the delivery that waited longest at the last look had been due. */
  oldestDue(): Date | undefined
  /** Takes nothing more; what is being handed over may finish, and what is not done in time is given back. */
  stop(withinMs: number): Promise<void>
}

/** Delivers what is due, from now on. Every server has one, and shares the work with those of the others. */
export function startWorker(deps: HandOverDeps & { outboxBell: Bell }, handlers: Handlers): Worker {
  const kinds = Object.keys(handlers)
  // From nothing to one is no increase to Prometheus.
  for (const kind of kinds) for (const outcome of OUTCOMES) deps.metrics.deliveries.inc({ kind, outcome }, 0)
  const stopping = new AbortController()
  /** With the kind of each. */
  const underWay = new Map<Promise<void>, string>()
  let oldestDue: Date | null = null

  const look = async () => {
    const now = deps.clock()
    const busy = [...underWay.values()]
    const rooms = kinds.map((kind) => ({ kind, most: LANES - busy.filter((each) => each === kind).length }))
    const found = await takeDue(deps.db, now, { rooms, until: new Date(now.getTime() + LEASE_MS) })
    oldestDue = found.oldestDue
    for (const taken of found.taken) {
      const done = handOver(deps, handlers, taken, stopping.signal).finally(() => {
        underWay.delete(done)
        schedule.hasten(0)
      })
      underWay.set(done, taken.kind)
    }
  }
  const schedule = repeat(deps.log, {
    name: 'outbox',
    everyMs: LOOK_EVERY_MS,
    work: look,
    outage: {
      begins: 'the outbox cannot be read; what is enqueued goes out later',
      ends: 'the outbox can be read again',
    },
  })
  deps.outboxBell.answer(() => schedule.hasten(GATHER_MS))

  return {
    oldestDue: () => oldestDue ?? undefined,
    stop: async (withinMs) => {
      await schedule.stop()
      await Promise.race([Promise.all(underWay.keys()), sleep(withinMs, undefined, { signal: stopping.signal })])
      stopping.abort()
      await Promise.all(underWay.keys())
    },
  }
}
