/** Somebody's turn. */
interface Turn {
  /** Gives the place to whoever waits longest. Once only. */
  leave(): void
}

interface Limit {
  /** Waits for a free place, in order of arrival. Undefined at once if the queue is full too. */
  enter(): Promise<Turn | undefined>
  /** Whether whoever came now would be turned away. */
  full(): boolean
  /** Holders of a place and those who wait. */
  pending(): number
}

/**
 * So many at a time, so many waiting, the rest turned away at once: a queue without an end answers everybody too late,
 * one with an end answers some in time and tells the others to come back.
 */
export function createLimit(concurrency: number, queue: number): Limit {
  const waiting: (() => void)[] = []
  let running = 0

  const full = (): boolean => running >= concurrency && waiting.length >= queue
  const turn = (): Turn => ({
    leave: () => {
      const next = waiting.shift()
      // The place passes straight to the next, so that no newcomer can slip in between.
      if (next) next()
      else running--
    },
  })

  return {
    enter: async () => {
      if (running < concurrency) {
        running++
        return turn()
      }
      if (full()) return undefined
      return new Promise((resolve) => waiting.push(() => resolve(turn())))
    },
    full,
    pending: () => running + waiting.length,
  }
}
