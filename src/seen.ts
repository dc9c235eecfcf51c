import { MINUTE } from './durations.ts'

/** The most keys for each process in half of the memory: twice as many are some 15 MB. */
export const REMEMBERED = 65_536
/** Longer than any proof is good (two minutes, `MAX_AGE_SECONDS` in both directions), also where a clock is corrected meanwhile. */
const KEPT_MS = 5 * MINUTE

/** Whether this was asked before. It is remembered from now on. */
export type WasSeen = (key: string) => boolean | Promise<boolean>

/**
 * Remembers each key for five minutes or until `least` others have come, whichever is sooner. It holds twice as many at most, and only
 * what has come lately: the primary of 64 processes would otherwise grow to a gigabyte, however few proofs there are a minute.
 *
 * In two halves, of which the older is dropped as a whole. Taking the first of a Map again and again makes V8 pass over
 * all that were deleted before it, for 60 ms at times.
 */
export function createSeen(least: number, elapsed = () => performance.now()): (key: string) => boolean {
  let young = new Set<string>()
  let old = new Set<string>()
  let since = elapsed()
  return (key) => {
    if (young.has(key) || old.has(key)) return true
    if (young.size >= least || elapsed() - since >= KEPT_MS) {
      old = young
      young = new Set()
      since = elapsed()
    }
    young.add(key)
    return false
  }
}
