import type { AuthenticToken } from '../../tokens/refresh.ts'

export interface UnderWay {
  /** Whether no other request with this token is under way. */
  isAlone(token: AuthenticToken): boolean
  /** Whether no request with a newer token of its family is under way. */
  isNewest(token: AuthenticToken): boolean
  /** Counts a request while this work of it lasts. */
  during<T>(token: AuthenticToken, work: () => Promise<T>): Promise<T>
}

/** Counts the requests that are under way in this process, by family and token. */
export function createUnderWay(): UnderWay {
  const families = new Map<string, Map<string, { generation: number; count: number }>>()
  const keyOf = ({ hash }: AuthenticToken): string => hash.toString('base64')
  return {
    isAlone: (token) => (families.get(token.family)?.get(keyOf(token))?.count ?? 0) <= 1,
    isNewest: ({ family, generation }) => {
      for (const other of families.get(family)?.values() ?? []) if (other.generation > generation) return false
      return true
    },
    during: async (token, work) => {
      const { family, generation } = token
      const key = keyOf(token)
      const tokens = families.get(family) ?? new Map()
      const counted = tokens.get(key) ?? { generation, count: 0 }
      families.set(family, tokens.set(key, counted))
      counted.count++
      try {
        return await work()
      } finally {
        if (--counted.count === 0) tokens.delete(key)
        if (tokens.size === 0) families.delete(family)
      }
    },
  }
}
