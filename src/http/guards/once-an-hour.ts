import { HOUR } from '../../durations.ts'

/** Keys per hour. Strangers choose the keys, so both the log and the memory for them are bounded. */
const MOST = 100

/** Limits log lines that strangers can cause. @returns a function that tells whether a key is new in this hour. */
export function onceAnHour(): (key: string) => boolean {
  let since = Number.NEGATIVE_INFINITY
  const seen = new Set<string>()
  return (key) => {
    const now = performance.now()
    if (now - since > HOUR) {
      seen.clear()
      since = now
    }
    if (seen.size === MOST || seen.has(key)) return false
    seen.add(key)
    return true
  }
}
