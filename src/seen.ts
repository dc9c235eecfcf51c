/** The last keys that are remembered in any case, for each process: twice as many are some 15 MB. */
export const REMEMBERED = 65_536

/** Whether this was asked before. It is remembered from now on. */
export type WasSeen = (key: string) => boolean | Promise<boolean>

/**
 * Remembers the last `least` keys in any case, and twice as many at most.
 *
 * In two halves, of which the older is dropped as a whole. Taking the first of a Map again and again makes V8 pass over
 * all that were deleted before it, for 60 ms at times.
 */
export function createSeen(least: number): (key: string) => boolean {
  let young = new Set<string>()
  let old = new Set<string>()
  return (key) => {
    if (young.has(key) || old.has(key)) return true
    if (young.size >= least) {
      old = young
      young = new Set()
    }
    young.add(key)
    return false
  }
}
