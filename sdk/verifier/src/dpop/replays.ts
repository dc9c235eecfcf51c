/** As many as a service sees in a minute that verifies a thousand proofs a second. Each takes some 150 bytes. */
const MOST = 65_536

/**
 * What was proved once, for as long as it could be proved again. Where there is no room, the oldest is forgotten.
 * @returns whether this key was there already, which is remembered from now on.
 */
export function createReplays(now: () => number, most = MOST): (key: string, keepUntilMs: number) => boolean {
  const held = new Map<string, number>()
  return (key, keepUntilMs) => {
    if (held.has(key)) return true
    // In the order in which they came. Two for each that comes: the memory gets smaller by itself, a little at a time.
    let looked = 0
    for (const [each, until] of held) {
      if (++looked > 2 || (until > now() && held.size < most)) break
      held.delete(each)
    }
    held.set(key, keepUntilMs)
    return false
  }
}
