import { type ConnectOptions, connect, type Database } from './connect.ts'
import type { Db } from './schema.ts'

export interface Pools {
  db: Db
  /** The same database over connections that only refreshes use. */
  refreshDb: Db
  /** For the gauges. */
  pools: Database['pool'][]
  close(): Promise<void>
}

/**
 * How many of a server's connections are set aside for refreshes. Nothing else may take them: whatever a flood of other
 * requests does to the rest, those who are signed in stay so.
 */
export function setAside(size: number): number {
  return Math.max(1, Math.floor(size / 3))
}

/** A refresh is two short statements at most; one that does not come back stands in the way of all behind it. */
const REFRESH_TIMEOUTS = { lock: 1500, statement: 1800, answer: 2000 }

/** What a server works with: `size` connections in all, at least 2. */
export function connectServer({ size, ...link }: Pick<ConnectOptions, 'url' | 'size' | 'onIdleError'>): Pools {
  const forRefreshes = setAside(size)
  const refreshes = connect({ ...link, size: forRefreshes, timeouts: REFRESH_TIMEOUTS })
  const others = connect({ ...link, size: size - forRefreshes })
  return {
    db: others.db,
    refreshDb: refreshes.db,
    pools: [refreshes.pool, others.pool],
    close: async () => void (await Promise.all([refreshes.db.destroy(), others.db.destroy()])),
  }
}
