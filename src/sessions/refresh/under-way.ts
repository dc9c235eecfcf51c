export interface UnderWay {
  /** Whether no other request with this token is under way. */
  isAlone(tokenHash: Buffer): boolean
  /** Counts a request while this work of it lasts. */
  during<T>(tokenHash: Buffer, work: () => Promise<T>): Promise<T>
}

/** Counts the requests that are under way in this process, by token. */
export function createUnderWay(): UnderWay {
  const counts = new Map<string, number>()
  const count = (tokenHash: Buffer): number => counts.get(tokenHash.toString('base64')) ?? 0
  return {
    isAlone: (tokenHash: Buffer): boolean => count(tokenHash) <= 1,
    during: async <T>(tokenHash: Buffer, work: () => Promise<T>): Promise<T> => {
      const key = tokenHash.toString('base64')
      counts.set(key, count(tokenHash) + 1)
      try {
        return await work()
      } finally {
        if (count(tokenHash) === 1) counts.delete(key)
        else counts.set(key, count(tokenHash) - 1)
      }
    },
  }
}
