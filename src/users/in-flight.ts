/**
 * Attempts that this process has not decided yet, by identifier. They count as failures until they succeed; whoever is put off
 * for them alone may come back in a second.
 */
export interface InFlight {
  /** @returns what to call when it is decided. */
  begin(identifier: Buffer): () => void
  has(identifier: Buffer): boolean
}

export function createInFlight(): InFlight {
  const counts = new Map<string, number>()
  return {
    begin: (identifier) => {
      const key = identifier.toString('base64')
      counts.set(key, (counts.get(key) ?? 0) + 1)
      return () => {
        const left = (counts.get(key) ?? 1) - 1
        if (left === 0) counts.delete(key)
        else counts.set(key, left)
      }
    },
    has: (identifier) => counts.has(identifier.toString('base64')),
  }
}
