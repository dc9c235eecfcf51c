import { setTimeout as sleep } from 'node:timers/promises'

/** How long a refusal with the parameters of now takes, as it was lately. */
export interface UsualTimes {
  /** One took so long, in milliseconds. */
  note(took: number): void
  /** Waits until a refusal that took less so far has taken as long as one of those, drawn by lot. */
  pad(took: number): Promise<void>
}

/** Enough to draw from, and few enough to follow the load of the machine. */
const KEPT = 64

/**
 * Makes refusals that cost less look like the usual ones. More work would not: argon2 is not linear in its memory, so no second
 * computation fills the gap exactly, and a constant wait would itself be a mark. Drawn from what the others took, the times of
 * both have one distribution.
 * @param compute what a usual refusal computes; done once, where nothing is known yet.
 */
export function createUsualTimes(compute: () => Promise<unknown>): UsualTimes {
  const times: number[] = []
  let next = 0
  const note = (took: number): void => {
    times[next] = took
    next = (next + 1) % KEPT
  }
  return {
    note,
    pad: async (took) => {
      if (times.length === 0) {
        const started = performance.now()
        await compute()
        note(performance.now() - started)
      }
      const drawn = times[Math.floor(Math.random() * times.length)] ?? 0
      if (drawn > took) await sleep(drawn - took)
    },
  }
}
