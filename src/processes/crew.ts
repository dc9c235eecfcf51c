import cluster, { type Worker } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import type { Config } from '../config/config.ts'
import { SECOND } from '../durations.ts'
import type { Log } from '../log.ts'
import type { ProcessMetrics } from '../metrics.ts'
import { createSeen, REMEMBERED } from '../seen.ts'
import type { Notice, Order } from './messages.ts'
import { consequenceOf, SETTLED_MS } from './restarts.ts'
import type { Totals } from './totals.ts'

/** How often each process is asked for a report. */
const ASK_EVERY_MS = 2 * SECOND
/** So many questions in a row without an answer: the process hangs. Questions, not time: all stand still with their machine. */
const MOST_UNANSWERED = 5
/** A process that leaves does so without its successor if that is not there by then. */
const SUCCESSOR_WAIT_MS = 30 * SECOND
/** A scrape waits so long for a process that does not answer, and then tells what it has said last. */
const REPORT_WAIT_MS = SECOND

interface Member {
  worker: Worker
  slot: number
  /** One that is leaving serves until it has a successor. When it is released, it finishes what it has begun. */
  state: 'starting' | 'serving' | 'leaving' | 'released'
  settled: boolean
  unanswered: number
}

/** One that has ended, or that the system had no room for. */
type Ended = Pick<Member, 'slot' | 'settled'> & Partial<Pick<Member, 'worker'>>

export interface Crew {
  serving(): number
  /** Brings the totals up to date. */
  ask(): Promise<void>
  /** Tells all to end, and starts no others. Resolves when the last has ended. */
  stop(): Promise<void>
  kill(): void
}

interface CrewOptions {
  config: Config
  log: Log
  totals: Totals
  metrics: Pick<ProcessMetrics, 'ended'>
  /** For each process, beside the environment of this one. */
  env: Record<string, string>
  /** All serve, for the first time. */
  onComplete(url: string): void
  /** There is no use in going on. */
  onGiveUp(code: number): void
}

/**
 * Keeps as many processes as there should be. The first starts alone: it migrates and makes the first signing key, and what
 * is wrong is said once. They accept connections from one socket.
 */
export function startCrew(options: CrewOptions): Crew {
  const { config, log, totals } = options
  const wanted = config.PROCESSES
  // A connection that Node hands over to a worker hangs if the worker is killed before it has it; one that waits in the socket
  // is taken by another worker.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  // Structured clones: JSON has no NaN.
  cluster.setupPrimary({ exec: MAIN, args: [], serialization: 'advanced' })
  const members = new Set<Member>()
  const timers = new Set<NodeJS.Timeout>()
  const empty = Promise.withResolvers<void>()
  let complete = false
  let haveBeenReady = false
  let stopping = false
  let earlyEnds = 0
  let leader: Member | undefined
  let questions = 0
  /** What is to be done when a question is answered, by its id. */
  const answered = new Map<number, () => void>()
  /** Proofs of possession, which are good once wherever they come. */
  const wasSeen = createSeen(REMEMBERED * wanted)

  const order = ({ worker }: Member, what: Order): void => {
    // A worker that has just ended is noticed by its event.
    if (worker.isConnected()) worker.send(what, () => {})
  }
  const those = (state: Member['state']) => [...members].filter((member) => member.state === state)
  const after = (ms: number, act: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      act()
    }, ms)
    timers.add(timer)
  }

  const start = (slot: number): void => {
    let worker: Worker
    try {
      worker = cluster.fork(options.env)
    } catch (error) {
      log.error({ err: error }, 'a process could not be started')
      return succeed({ slot, settled: false }, 1)
    }
    const member: Member = { worker, slot, state: 'starting', settled: false, unanswered: 0 }
    members.add(member)
    if (!haveBeenReady) leader = member
    order(member, { kind: 'begin', slot, of: wanted, leads: leader === member })
    worker.on('message', (notice) => hear(member, notice as Notice))
    worker.on('error', (error) => {
      const { pid } = worker.process
      log.error({ err: error, worker: pid }, pid ? 'a process could not be reached' : 'a process could not be started')
      // Of some faults of the system Node tells here, and of no exit: there never was a process.
      if (!pid) bury(member, 1, null)
    })
    worker.on('exit', (code: number | null, signal: string | null) => bury(member, code, signal))
    // By then everything that it had sent has been heard.
    worker.on('disconnect', () => totals.bury(worker.id))
  }

  const hear = (member: Member, notice: Notice): void => {
    if (notice.kind === 'report') {
      member.unanswered = 0
      totals.keep(member.worker.id, notice.snapshot)
      if (notice.id !== undefined) answered.get(notice.id)?.()
    } else if (notice.kind === 'ask')
      order(member, { kind: 'seen', id: notice.id, seen: notice.keys.map((key) => wasSeen(key)) })
    else if (notice.kind === 'ready') welcome(member, notice.url)
    else if (member.state === 'serving') replace(member, notice.crashed)
  }

  const welcome = (member: Member, url: string): void => {
    const isFirst = !haveBeenReady
    haveBeenReady = true
    member.state = 'serving'
    log.info({ worker: member.worker.process.pid }, 'a process serves')
    after(SETTLED_MS, () => {
      if (!members.has(member)) return
      member.settled = true
      earlyEnds = 0
    })
    for (const leaving of those('leaving')) if (leaving.slot === member.slot) release(leaving)
    appoint()
    if (isFirst) for (let slot = 1; slot < wanted; slot++) start(slot)
    if (!complete && those('serving').length === wanted) {
      complete = true
      options.onComplete(url)
    }
  }

  /** Somebody leads, unless nobody serves. */
  const appoint = (): void => {
    if (leader && members.has(leader) && leader.state === 'serving') return
    leader = those('serving')[0]
    if (leader) order(leader, { kind: 'lead' })
  }

  const replace = (member: Member, crashed: boolean): void => {
    member.state = 'leaving'
    if (stopping) return
    appoint()
    after(SUCCESSOR_WAIT_MS, () => release(member))
    if (crashed) succeed(member, 1)
    else start(member.slot)
  }

  const release = (member: Member): void => {
    if (member.state !== 'leaving') return
    member.state = 'released'
    order(member, { kind: 'leave' })
  }

  const bury = (member: Member, code: number | null, signal: string | null): void => {
    members.delete(member)
    if (members.size === 0 && stopping) return empty.resolve()
    if (stopping || member.state === 'leaving' || member.state === 'released') return
    const { pid } = member.worker.process
    if (pid) log.error({ worker: pid, code, signal }, 'a process ended that was not told to')
    appoint()
    succeed(member, code)
  }

  /** Starts another in the place of one that has ended, or is about to. */
  const succeed = ({ slot, settled, worker }: Ended, code: number | null): void => {
    options.metrics.ended.inc({ cause: code === null ? 'killed' : 'failed' })
    earlyEnds = settled ? 0 : earlyEnds + 1
    const consequence = consequenceOf(
      { code, hadSettled: settled },
      { haveBeenReady, serving: those('serving').length, earlyEnds },
    )
    if (consequence.kind === 'replace') return after(consequence.inMs, () => start(slot))
    log.fatal({ worker: worker?.process.pid, code: consequence.code }, 'processes end as soon as they start; giving up')
    options.onGiveUp(consequence.code)
  }

  const asking = setInterval(() => {
    for (const member of members) {
      // Its modules may take long to load. One that is to stop does so as soon as it hears of it.
      if (member.state === 'starting' && !stopping) continue
      if (++member.unanswered > MOST_UNANSWERED) {
        log.error({ worker: member.worker.process.pid }, 'a process hangs; it is killed')
        member.worker.process.kill('SIGKILL')
      } else order(member, { kind: 'report', id: ++questions })
    }
  }, ASK_EVERY_MS)

  start(0)
  return {
    serving: () => those('serving').length,
    ask: async () => {
      const asked = [...members].filter(({ state }) => state !== 'starting')
      const answers = asked.map((member) => {
        const id = ++questions
        const answer = new Promise<void>((resolve) => answered.set(id, resolve))
        order(member, { kind: 'report', id })
        return { id, answer }
      })
      const late = Promise.withResolvers<void>()
      const timer = setTimeout(late.resolve, REPORT_WAIT_MS)
      await Promise.race([late.promise, Promise.all(answers.map(({ answer }) => answer))])
      clearTimeout(timer)
      for (const { id } of answers) answered.delete(id)
    },
    stop: async () => {
      stopping = true
      for (const timer of timers) clearTimeout(timer)
      for (const member of members) order(member, { kind: 'stop' })
      if (members.size > 0) await empty.promise
      clearInterval(asking)
    },
    kill: () => {
      for (const { worker } of members) worker.process.kill('SIGKILL')
    },
  }
}

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
