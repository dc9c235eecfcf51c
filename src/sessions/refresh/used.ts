import type { AuthenticToken } from '../../tokens/refresh.ts'

/**
 * Which tokens this process has seen used. A request that arrives with one that was replaced before is reuse, however long it then waits;
 * the row tells only when the latest was used. In memory, because it matters for as long as a request waits.
 */
export interface Used {
  /** Whether a newer token of its family has been used, as far as is known; undefined if none of the family has been, here. */
  isPast(token: Named): boolean | undefined
  /** Notes that it has been used. */
  note(token: Named): void
}

type Named = Pick<AuthenticToken, 'family' | 'generation'>

/** The most families remembered, at some hundred bytes each. */
const MOST = 100_000

export function createUsed(): Used {
  const newest = new Map<string, number>()
  return {
    isPast: ({ family, generation }) => {
      const used = newest.get(family)
      return used === undefined ? undefined : used > generation
    },
    note: ({ family, generation }) => {
      const used = Math.max(newest.get(family) ?? generation, generation)
      // Deleted first, so that the map stays ordered by age.
      newest.delete(family)
      newest.set(family, used)
      if (newest.size > MOST) newest.delete(newest.keys().next().value as string)
    },
  }
}
