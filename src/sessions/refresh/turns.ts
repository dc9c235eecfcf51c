import { Problem } from '../../errors.ts'

/** Runs work when its family's turn has come. @throws Problem `unavailable` at once where too many wait already. */
export type TakeTurn = <T>(family: string, work: () => Promise<T>) => Promise<T>

/**
 * One after the other for each family: its requests would only wait for each other's row, each with a connection in its
 * hands. Of all families together, only so many may wait.
 */
export function createTurns(most: number): TakeTurn {
  /** Of each family, the last one in line. */
  const last = new Map<string, Promise<unknown>>()
  let inLine = 0

  return async (family, work) => {
    if (inLine >= most) throw new Problem('unavailable', { reason: 'too many wait for their turn', retryAfter: 1 })
    inLine++
    const before = last.get(family)
    const mine = before ? before.then(work, work) : work()
    last.set(family, mine)
    try {
      return await mine
    } finally {
      inLine--
      if (last.get(family) === mine) last.delete(family)
    }
  }
}
