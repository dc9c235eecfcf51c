/** One line of the table. */
export interface Line {
  /** Names it, also for --compare. */
  what: string
  perSecond?: number
  /** Milliseconds, open loop. */
  p50?: number
  p99?: number
  p999?: number
  /** CPU milliseconds per request of the server and of PostgreSQL. */
  node?: number
  postgres?: number
  /** What the figure is measured against, in words with its value. */
  against?: string
  figure: number
  unit?: string
  /** Absent: for information. */
  target?: { atMost: number } | { atLeast: number }
  /** Answers that were not what they should be make a line not met, whatever its figure. */
  faults?: Record<string, number>
}

export function isMet({ figure, target, faults = {} }: Line): boolean | undefined {
  if (!target) return undefined
  if (Object.keys(faults).length > 0) return false
  return 'atMost' in target ? figure <= target.atMost : figure >= target.atLeast
}
