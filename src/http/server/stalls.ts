/** How long requests that are read now may have waited while this process stood still. */
export interface Stalls {
  /** In milliseconds; 0 nearly always. */
  before(): number
  stop(): void
}

const TICK_MS = 100
/** Less is no stall: a busy moment, or a timer that is a little late. */
const WORTH_KNOWING_MS = 250
/** What came in during a stall is read within this time after it. */
const READ_WITHIN_MS = 1000

/**
 * Notices when the process has not run for a while: stopped, throttled by its container's share of the processor, or busy
 * with something long. Requests then lie in the kernel, and what we see of their age is too little.
 */
export function watchStalls(now: () => number = () => performance.now()): Stalls {
  let ticked = now()
  let stall = { ms: 0, endedAt: 0 }
  const isOpen = (at: number): boolean => at - stall.endedAt < Math.min(stall.ms, READ_WITHIN_MS)
  const timer = setInterval(() => {
    const late = now() - ticked - TICK_MS
    ticked = now()
    // What is left of the backlog of the one before has waited for both.
    if (late > WORTH_KNOWING_MS) stall = { ms: late + (isOpen(ticked - late) ? stall.ms : 0), endedAt: ticked }
  }, TICK_MS).unref()
  return {
    before: () => {
      // The tick after a stall may run later than the first request that is read.
      const late = now() - ticked - TICK_MS
      if (late > WORTH_KNOWING_MS) return late + (isOpen(now() - late) ? stall.ms : 0)
      return isOpen(now()) ? stall.ms : 0
    },
    stop: () => clearInterval(timer),
  }
}
