import { type ConnectOptions, connect, type Database, type Timeouts } from './connect.ts'
import type { Db } from './schema.ts'

export interface Pools {
  db: Db
  /** The same database over connections that only refreshes use: what they need besides their rotation. */
  refreshDb: Db
  /** The same database over a connection that only rotations use. One is enough: they go together. */
  rotationDb: Db
  /** For the gauges. */
  pools: Database['pool'][]
  close(): Promise<void>
}

/**
 * How many of a server's connections are for what. Nothing else may take those of rotations and refreshes: whatever a flood of
 * other requests does to the rest, or one of tokens that have to be looked at closely, those who are signed in stay so.
 */
export function share(size: number): { rotations: number; refreshes: number; others: number } {
  const refreshes = size < 3 ? 0 : Math.max(1, Math.floor(size / 3) - 1)
  return { rotations: 1, refreshes, others: size - 1 - refreshes }
}

/** A refresh is two short statements at most; one that does not come back stands in the way of all behind it. */
const REFRESH_TIMEOUTS = { lock: 1500, statement: 1800, answer: 2000 }

/**
 * What a server works with: `size` connections in all, at least 2. Where the database grants fewer than the pools would like,
 * one that has none gets an idle one of another.
 */
export function connectServer({ size, ...link }: Pick<ConnectOptions, 'url' | 'size' | 'onIdleError'>): Pools {
  const all: Database[] = []
  const makeRoom = () => all.toSorted((a, b) => b.pool.idleCount - a.pool.idleCount)[0]?.spare()
  const open = (connections: number, timeouts: Partial<Timeouts>): Database => {
    const opened = connect({ ...link, size: connections, timeouts, onCrowded: makeRoom })
    all.push(opened)
    return opened
  }
  const counts = share(size)
  const rotations = open(counts.rotations, REFRESH_TIMEOUTS)
  const others = open(counts.others, {})
  const refreshes = counts.refreshes === 0 ? others : open(counts.refreshes, REFRESH_TIMEOUTS)
  return {
    db: others.db,
    refreshDb: refreshes.db,
    rotationDb: rotations.db,
    pools: all.map(({ pool }) => pool),
    close: async () => void (await Promise.all(all.map(({ db }) => db.destroy()))),
  }
}
