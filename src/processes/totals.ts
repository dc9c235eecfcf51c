import { AggregatorRegistry } from 'prom-client'
import type { Snapshot } from '../metrics.ts'

export interface Totals {
  /** Takes what a process has measured so far, in the place of what it had reported before. */
  keep(id: number, snapshot: Snapshot): void
  /** The process has ended: what it counted stays counted, and what it measured of the moment is over. */
  bury(id: number): void
  /** Everything as text, beside what the caller has measured itself. */
  text(own: Snapshot): Promise<string>
}

/**
 * The metrics of several processes as those of one server. Counters and histograms never go back: what was once reported of a
 * process is still there when it has ended. What it counted after its last report is lost.
 */
export function createTotals(): Totals {
  const latest = new Map<number, Snapshot>()
  let buried: Snapshot = []
  return {
    keep: (id, snapshot) => void latest.set(id, snapshot),
    bury: (id) => {
      const last = latest.get(id)
      if (!last) return
      latest.delete(id)
      buried = sum([buried, last.filter(({ type }) => !isGauge(type))])
    },
    text: (own) => AggregatorRegistry.aggregate([...latest.values(), buried, own].map(withoutHoles)).metrics(),
  }
}

/** What a process cannot tell yet must not hide what the others do. */
function withoutHoles(snapshot: Snapshot): Snapshot {
  return snapshot.map((metric) => ({ ...metric, values: metric.values.filter(({ value }) => !Number.isNaN(value)) }))
}

function sum(snapshots: Snapshot[]): Snapshot {
  return AggregatorRegistry.aggregate(snapshots).getMetricsAsArray() as Snapshot
}

/** The library declares numbers, and has words. */
function isGauge(type: unknown): boolean {
  return type === 'gauge'
}
