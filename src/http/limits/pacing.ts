/** Milliseconds that the next refusal of a key has to wait for its turn; mostly 0. */
export type Pace = (key: string) => number

/** Refusals of one key, and of all: so many at once where few went before, then one each time this many milliseconds pass. */
const ONE = { burst: 50, everyMs: 10 }
const ALL = { burst: 500, everyMs: 1 }
const LONGEST_MS = 5000
const MAX_KEYS = 10_000

/**
 * Whoever does not heed `Retry-After` asks again as soon as they are refused, over as many connections as they like. Refused at
 * full speed, they would keep the event loop so busy that everybody else's requests wait in it. So refusals go out at a pace;
 * those that wait for their turn cost nothing.
 */
export function createPace(now: () => number = () => performance.now()): Pace {
  /** Until when the turns of a key are taken. */
  const taken = new Map<string, number>()
  let takenByAll = Number.NEGATIVE_INFINITY

  return (key) => {
    const at = now()
    const one = next(ONE, taken.get(key), at)
    const all = next(ALL, takenByAll, at)
    takenByAll = all.takenUntil
    // Deleted first, so that the map stays in order of age.
    taken.delete(key)
    taken.set(key, one.takenUntil)
    if (taken.size > MAX_KEYS) taken.delete(taken.keys().next().value as string)
    return Math.max(one.wait, all.wait)
  }
}

/** Turns are taken until five seconds from now at most: what a flood has left is over soon after it. */
function next(
  { burst, everyMs }: typeof ONE,
  taken = Number.NEGATIVE_INFINITY,
  at: number,
): { takenUntil: number; wait: number } {
  const ahead = burst * everyMs
  const takenUntil = Math.min(Math.max(taken, at) + everyMs, at + ahead + LONGEST_MS)
  return { takenUntil, wait: Math.max(0, takenUntil - at - ahead) }
}
