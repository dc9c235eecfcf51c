import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, type Connection, createConnection } from './connection.ts'

export interface Item {
  request: string
  /** Looks at the answer (undefined: none came) and says what was wrong with it, and how long this caller should wait. */
  judge(answer: Answer | undefined): { fault?: string | undefined; waitMs?: number }
}

/** Gives out what is to be sent; undefined while every chain is under way. */
export type Source = () => Item | undefined

export interface Pace {
  port: number
  connections: number
  seconds: number
  /** Requests per second, due at even intervals whether or not the server keeps up. Absent: as fast as answers come. */
  rate?: number
}

export interface Outcome {
  /** Answers without fault. */
  done: number
  faults: Record<string, number>
  seconds: number
  /** Milliseconds, of all answers. Open loop: from the moment at which the request was due. */
  p50: number
  p95: number
  p99: number
  p999: number
}

export async function runLoad(source: Source, pace: Pace, connect = createConnection): Promise<Outcome> {
  const connections = Array.from({ length: pace.connections }, () => connect(pace.port))
  const tally = createTally()
  const startedAt = performance.now()
  try {
    await (pace.rate === undefined ? closedLoop : openLoop)(source, pace, connections, tally)
  } finally {
    for (const connection of connections) connection.close()
  }
  return tally.outcome((performance.now() - startedAt) / 1000)
}

/** Of several measurements. */
export function sumFaults(...outcomes: Pick<Outcome, 'faults'>[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const [what, count] of outcomes.flatMap(({ faults }) => Object.entries(faults)))
    sums[what] = (sums[what] ?? 0) + count
  return sums
}

type Tally = ReturnType<typeof createTally>

export function createTally() {
  const latencies: number[] = []
  const faults: Record<string, number> = {}
  let done = 0
  return {
    add: (latency: number, fault: string | undefined): void => {
      latencies.push(latency)
      if (fault === undefined) done++
      else faults[fault] = (faults[fault] ?? 0) + 1
    },
    outcome: (seconds: number): Outcome => {
      const sorted = Float64Array.from(latencies).toSorted()
      const at = (share: number): number =>
        sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
      return { done, faults, seconds, p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999) }
    },
  }
}

async function perform(connection: Connection, item: Item, since: number, tally: Tally): Promise<number> {
  const answer = await connection.send(item.request).catch(() => undefined)
  const { fault, waitMs = 0 } = item.judge(answer)
  tally.add(performance.now() - since, fault)
  return waitMs
}

/** Every connection sends its next request when the last one is answered: shows what the server can do at most. */
async function closedLoop(source: Source, { seconds }: Pace, connections: Connection[], tally: Tally): Promise<void> {
  const until = performance.now() + seconds * 1000
  const caller = async (connection: Connection): Promise<void> => {
    while (performance.now() < until) {
      const item = source()
      const waitMs = item ? await perform(connection, item, performance.now(), tally) : 1
      // Whoever would come again only after the end does not keep the measurement open.
      if (waitMs > 0) await sleep(Math.max(0, Math.min(waitMs, until - performance.now())))
    }
  }
  await Promise.all(connections.map(caller))
}

/**
 * Requests fall due by the clock, and their latency counts from then: a server that stalls for a second makes all that
 * fell due meanwhile late, as it would with real users (a closed loop would send one request less and see nothing).
 */
async function openLoop(
  source: Source,
  { seconds, rate = 1 }: Pace,
  connections: Connection[],
  tally: Tally,
): Promise<void> {
  const idle = [...connections]
  const due: number[] = []
  const total = Math.ceil(seconds * rate)
  const startedAt = performance.now()
  let fallen = 0
  let answered = 0
  let finish: () => void
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const pump = (): void => {
    while (due.length > 0 && idle.length > 0) {
      const item = source()
      if (!item) {
        // With nothing under way, no chain comes back: every one was refused.
        if (idle.length === connections.length) {
          for (; answered < total; answered++) tally.add(Number.POSITIVE_INFINITY, 'no chain left')
          finish()
        }
        return
      }
      const connection = idle.pop() as Connection
      const since = due.shift() as number
      void perform(connection, item, since, tally).then(() => {
        idle.push(connection)
        if (++answered === total) finish()
        else pump()
      })
    }
  }
  const timer = setInterval(() => {
    for (let at = dueAt(); fallen < total && at <= performance.now(); at = dueAt()) {
      due.push(at)
      fallen++
    }
    pump()
  }, 1)
  const dueAt = (): number => startedAt + (fallen * 1000) / rate
  await finished
  clearInterval(timer)
}
