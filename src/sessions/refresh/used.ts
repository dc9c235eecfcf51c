import type { AuthenticToken } from '../../tokens/refresh.ts'

/**
 * Which tokens this process has seen used. A request that arrives with one that was replaced before is reuse, however long it then waits;
 * the row tells only when the latest was used. In memory, because it matters for as long as a request waits.
 */
export interface Used {
  /**
   * Whether a newer token of its family has been used, or another of the same generation, as there may be after lost commits; as far as is
   * known. Undefined if none of the family has been used here.
   */
  isPast(token: Named): boolean | undefined
  /** Notes that it has been used. */
  note(token: Named): void
}

type Named = Pick<AuthenticToken, 'family' | 'generation' | 'hash'>

/** The most families remembered, at some hundred bytes each. */
const MOST = 100_000

export function createUsed(): Used {
  const newest = new Map<string, { generation: number; key: string }>()
  const keyOf = ({ hash }: Named): string => hash.toString('base64')
  return {
    isPast: (token) => {
      const used = newest.get(token.family)
      if (!used) return undefined
      return used.generation === token.generation ? used.key !== keyOf(token) : used.generation > token.generation
    },
    note: (token) => {
      const { family, generation } = token
      const known = newest.get(family)
      const used = known && known.generation > generation ? known : { generation, key: keyOf(token) }
      // Deleted first, so that the map stays ordered by age.
      newest.delete(family)
      newest.set(family, used)
      if (newest.size > MOST) newest.delete(newest.keys().next().value as string)
    },
  }
}
