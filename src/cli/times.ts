const UNITS: [string, number][] = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
]

/** UTC to the second: 2026-03-01T09:30:00Z. */
export function iso(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** Rounded, in the largest unit that gives two or more: 30 h, 90 min, 14 d. */
export function duration(seconds: number): string {
  const [unit, size] = UNITS.find(([, each]) => Math.round(seconds / each) >= 2) ?? ['s', 1]
  return `${Math.max(0, Math.round(seconds / size))} ${unit}`
}

/** `3 min ago`, `in 2 d`, `now`. */
export function relative(date: Date, now: Date): string {
  const seconds = (date.getTime() - now.getTime()) / 1000
  if (Math.abs(seconds) < 1) return 'now'
  return seconds < 0 ? `${duration(-seconds)} ago` : `in ${duration(seconds)}`
}

/** Both: `2026-03-01T09:30:00Z (3 min ago)`. */
export function when(date: Date, now: Date): string {
  return `${iso(date)} (${relative(date, now)})`
}
