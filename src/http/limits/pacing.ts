/** How many milliseconds to delay the next refusal of a key; mostly 0. */
export type Pace = (key: string) => number

/** The pace of refusals, for one key and for all: a burst after a quiet time, then one per so many milliseconds. */
const ONE = { burst: 50, everyMs: 10 }
const ALL = { burst: 500, everyMs: 1 }
const LONGEST_MS = 5000
const MAX_KEYS = 10_000

/**
 * Slows refusals down. An attacker who ignores `Retry-After` asks again as soon as it is refused, over many
 * connections. Refused at full speed, it would keep the event loop so busy that all other requests wait. Refusals that
 * are delayed cost nothing.
 */
export function createPace(now: () => number = () => performance.now()): Pace {
  /** Until when the pace of a key is used up. */
  const taken = new Map<string, number>()
  let takenByAll = Number.NEGATIVE_INFINITY

  return (key) => {
    const at = now()
    const one = next(ONE, taken.get(key), at)
    const all = next(ALL, takenByAll, at)
    takenByAll = all.takenUntil
    // Deleted first, so that the map stays ordered by age.
    taken.delete(key)
    taken.set(key, one.takenUntil)
    if (taken.size > MAX_KEYS) taken.delete(taken.keys().next().value as string)
    return Math.max(one.wait, all.wait)
  }
}

/** The pace is used up for five seconds ahead at most, so that the delays end soon after a flood. */
function next(
  { burst, everyMs }: typeof ONE,
  taken = Number.NEGATIVE_INFINITY,
  at: number,
): { takenUntil: number; wait: number } {
  const ahead = burst * everyMs
  const takenUntil = Math.min(Math.max(taken, at) + everyMs, at + ahead + LONGEST_MS)
  return { takenUntil, wait: Math.max(0, takenUntil - at - ahead) }
}
