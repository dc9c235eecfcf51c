const SIZE = 1 << 16

/**
 * Tells of most texts that were not added that they were not. A Map hashes a text before it looks, which costs half a
 * microsecond for each that it has not seen before, as those in tokens are. All of a verification costs forty.
 */
export interface Sieve {
  add(text: string): void
  /** @returns false: it was not added. true: it may have been. */
  mayHold(text: string): boolean
  clear(): void
}

export function createSieve(): Sieve {
  const marks = new Uint8Array(SIZE)
  return {
    add: (text) => void (marks[placeOf(text)] = 1),
    mayHold: (text) => marks[placeOf(text)] === 1,
    clear: () => void marks.fill(0),
  }
}

/** Of ids, which are random, a few characters are enough. */
function placeOf(text: string): number {
  let hash = text.length
  for (let at = 0; at < text.length; at += 4) hash = Math.imul(hash ^ text.charCodeAt(at), 0x9e3779b1)
  return hash >>> 16
}
