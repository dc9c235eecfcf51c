import type { Clock } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import { SECOND } from '../../durations.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { repeat, type Schedule } from '../../schedule.ts'
import { STATES } from './freshness.ts'
import { listVerifiers } from './verifiers.ts'

const EVERY_MS = 15 * SECOND

interface CensusDeps {
  db: Db
  clock: Clock
  log: Log
  metrics: Pick<Metrics, 'verifiers'>
}

/**
 * Counts the instances of services by how fresh they are, for the gauge. While they cannot be counted it says nothing.
 * @param isDue asked each time: whether it is for this process to count.
 */
export function countVerifiers({ db, clock, log, metrics }: CensusDeps, isDue: () => boolean): Schedule {
  const counting = repeat(log, {
    name: 'verifiers',
    everyMs: EVERY_MS,
    outage: {
      begins: 'the services that follow the feed cannot be counted',
      ends: 'the services that follow the feed can be counted again',
    },
    work: async () => {
      if (!isDue()) return
      try {
        const { verifiers } = await listVerifiers(db, clock())
        for (const state of STATES) {
          metrics.verifiers.set({ state }, verifiers.filter((each) => each.state === state).length)
        }
      } catch (error) {
        metrics.verifiers.reset()
        throw error
      }
    },
  })
  // So that the first scrape has it: what is absent cannot be told from what is not counted.
  counting.hasten(SECOND)
  return counting
}
