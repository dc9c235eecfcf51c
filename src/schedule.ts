import type { DatabaseClock } from './clock.ts'
import { MINUTE, SECOND } from './durations.ts'
import type { Log } from './log.ts'

export interface Schedule {
  /** Has the next run begin after that many milliseconds, if it would begin later. */
  hasten(withinMs: number): void
  /** Starts nothing more; resolves when the run that is under way has ended. */
  stop(): Promise<void>
}

export interface Task {
  name: string
  everyMs: number
  work: () => Promise<unknown>
  /** What to log when the task begins to fail, and when it works again. Without it, every failure is logged. */
  outage?: { begins: string; ends: string }
}

/**
 * Repeats a task, `everyMs` after it last ended or up to a tenth sooner, so that replicas that start together do not
 * stay in step. A failure is logged, and the task is tried again in its turn. Keeps no process alive.
 */
export function repeat(log: Log, { name, everyMs, work, outage }: Task): Schedule {
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout
  let stopped = false
  let failing = false
  let dueAt = Number.POSITIVE_INFINITY
  /** Asked for while a run was under way. */
  let haste = Number.POSITIVE_INFINITY
  let busy = false
  const schedule = (inMs: number) => {
    if (stopped) return
    clearTimeout(timer)
    dueAt = performance.now() + inMs
    timer = setTimeout(run, inMs).unref()
  }
  const next = () => {
    busy = false
    schedule(Math.min(haste, everyMs * (0.9 + Math.random() / 10)))
    haste = Number.POSITIVE_INFINITY
  }
  const run = () => {
    busy = true
    running = (async () => {
      try {
        await work()
        if (failing && outage) log.info(outage.ends)
        failing = false
      } catch (error) {
        if (!outage) log.warn({ err: error, task: name }, 'a scheduled task failed; it is tried again in its turn')
        else if (!failing) log.error({ err: error }, outage.begins)
        failing = true
      }
    })().finally(next)
  }
  next()
  return {
    hasten: (withinMs) => {
      if (busy) haste = Math.min(haste, withinMs)
      else if (performance.now() + withinMs < dueAt) schedule(withinMs)
    },
    stop: () => {
      stopped = true
      clearTimeout(timer)
      return running
    },
  }
}

/**
 * Synchronises the clock every minute, and at once when this host's wall clock and its monotonic timer diverge by more
 * than a second: the timer stands still while a machine is suspended, but tokens go on ageing. While the database is
 * away or too slow for a precise answer, it is asked every few seconds.
 */
export function keepClock(log: Log, clock: Pick<DatabaseClock, 'synchronise'>): Schedule {
  const distance = () => Date.now() - performance.now()
  let agreed = distance()
  let afresh = false
  let due = performance.now() + MINUTE
  const work = async () => {
    if (Math.abs(distance() - agreed) > SECOND) {
      log.warn('the wall clock of this host has jumped; asking the database for the time')
      agreed = distance()
      afresh = true
      due = 0
    }
    if (performance.now() < due) return
    due = performance.now() + 5 * SECOND
    const good = await clock.synchronise({ afresh })
    afresh = false
    if (good) due = performance.now() + MINUTE
  }
  return repeat(log, { name: 'clock', everyMs: SECOND, work })
}
