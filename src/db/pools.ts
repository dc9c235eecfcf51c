import { type ConnectOptions, connect, type Database, type Timeouts } from './connect.ts'
import { createHosts } from './hosts.ts'
import type { Db } from './schema.ts'
import { readShards, type Shards } from './shards.ts'

export interface Pools {
  db: Db
  /** The same database over connections reserved for refreshes, for everything but the plain rotation. */
  refreshDb: Db
  /** The same database over the connections reserved for rotations. One is enough, because they are sent in batches. */
  rotationDb: Db
  /** How the database divides the families. */
  shards: Shards
  /** For the gauges. */
  pools: Database['pool'][]
  close(): Promise<void>
}

/**
 * How a server's connections are divided. Rotations and refreshes have their own, so that nobody who is signed in is
 * thrown out by a flood of other requests, nor by a flood of tokens that take the careful path.
 * @param isDivided whether a batch holds the rotations of one shard only: several are then sent at a time.
 */
export function share(size: number, isDivided = false): { rotations: number; refreshes: number; others: number } {
  const refreshes = size < 3 ? 0 : Math.max(1, Math.floor(size / 3) - 1)
  const rotations = isDivided ? Math.max(1, Math.floor(size / 3)) : 1
  return { rotations, refreshes, others: size - rotations - refreshes }
}

/** A refresh is two short statements at most, and one that hangs holds up all those behind it. */
const REFRESH_TIMEOUTS = { lock: 1500, statement: 1800, answer: 2000 }

/**
 * Opens the pools of a server: `size` connections in all, at least 2. If the database grants fewer, another pool closes
 * an idle connection for the one that has none.
 * @throws the database's error, if it cannot be asked how it divides the families.
 */
export async function connectServer({
  size,
  onMoved,
  ...link
}: Pick<ConnectOptions, 'url' | 'size' | 'onIdleError'> & {
  /** Called with `host:port` when another host of the URL than before takes the connections. */
  onMoved?: (host: string) => void
}): Promise<Pools> {
  const hosts = createHosts(link.url, onMoved)
  const all: Database[] = []
  const makeRoom = () => all.toSorted((a, b) => b.pool.idleCount - a.pool.idleCount)[0]?.spare()
  const open = (connections: number, timeouts: Partial<Timeouts>): Database => {
    const opened = connect({ ...link, hosts, size: connections, timeouts, onCrowded: makeRoom })
    all.push(opened)
    return opened
  }
  const close = async () => void (await Promise.all(all.map(({ db }) => db.destroy())))
  const { refreshes: reserved } = share(size)
  const first = reserved === 0 ? open(size - 1, {}) : open(reserved, REFRESH_TIMEOUTS)
  const shards = await readShards(first.db).catch(async (error: unknown) => {
    await close()
    throw error
  })
  // Whoever needs a connection first may have it, where the database grants few.
  first.spare()
  const counts = share(size, shards.isDivided())
  const rotations = open(counts.rotations, REFRESH_TIMEOUTS)
  const others = reserved === 0 ? first : open(counts.others, {})
  return {
    db: others.db,
    refreshDb: first.db,
    rotationDb: rotations.db,
    shards,
    pools: all.map(({ pool }) => pool),
    close,
  }
}
