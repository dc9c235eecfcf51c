const HOUR_MS = 3_600_000
/** Keys an hour. Strangers choose them: what they may fill is as bounded as the memory for it. */
const MOST = 100

/** @returns whether a key has not been seen this hour, for log lines that strangers can cause. */
export function onceAnHour(): (key: string) => boolean {
  let since = Number.NEGATIVE_INFINITY
  const seen = new Set<string>()
  return (key) => {
    const now = performance.now()
    if (now - since > HOUR_MS) {
      seen.clear()
      since = now
    }
    if (seen.size === MOST || seen.has(key)) return false
    seen.add(key)
    return true
  }
}
