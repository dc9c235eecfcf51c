/** As many as a service sees in a minute that verifies a thousand proofs a second. Each takes some 150 bytes. */
const LEAST = 65_536

/**
 * What was proved once, for as long as it could be proved again. The last `least` are held in any case, at most twice as many; where
 * there is no room, the oldest are forgotten.
 *
 * In two halves, of which the older is dropped as a whole. Taking the first of a Map again and again makes V8 pass over all that were
 * deleted before it, which holds up the process for 70 ms at times.
 * @returns whether this key was there already, which is remembered from now on.
 */
export function createReplays(now: () => number, least = LEAST): (key: string, keepUntilMs: number) => boolean {
  let young = new Set<string>()
  let old = new Set<string>()
  let keepYoung = 0
  let keepOld = 0
  return (key, keepUntilMs) => {
    if (young.has(key) || old.has(key)) return true
    if (young.size >= least || keepOld < now()) {
      old = young
      keepOld = keepYoung
      young = new Set()
      keepYoung = 0
    }
    young.add(key)
    keepYoung = Math.max(keepYoung, keepUntilMs)
    return false
  }
}
