import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { belongsToConnection, cannotWrite, hasStaleStatements, isCrowded, isSilence } from './errors.ts'
import type { Hosts } from './hosts.ts'

/** The connections of a pool, and how far each one is trusted. */
export interface Connections {
  /** A free connection or a new one. @throws if there is none in time. */
  take(): Promise<pg.PoolClient>
  /** Notes that the connection has answered. */
  praise(client: pg.PoolClient): void
  /**
   * Notes an error, and distrusts every connection that it casts doubt on.
   * @param askedAt when the statement that failed was sent.
   * @returns whether this connection is of no further use.
   */
  blame(client: pg.PoolClient, error: unknown, askedAt: number): boolean
  giveBack(client: pg.PoolClient, discard: boolean): void
  /** Closes an idle connection, if there is one. */
  spare(): void
}

/** What fails on a younger connection is the server's fault: any other connection would fail too. */
const YOUNG_MS = 1000
/** How long a pool that could not grow waits before it tries again. */
const FULL_MS = 1000
/** The pause before a caller queues for the pool's connections, and before it asks the database again if there are none. */
const SHARE_MS = 20
const RETRY_MS = 250

/**
 * @param hosts where the pool opens its connections.
 * @param onCrowded called when the pool has no connection and the database refuses it one.
 */
export function watchConnections(
  pool: pg.Pool,
  hosts: Pick<Hosts, 'count' | 'hasCaused' | 'verdict'>,
  limits: { acquire: number; age: number },
  onCrowded: () => void = () => {},
): Connections {
  const size = pool.options.max
  const lives = new WeakMap<pg.PoolClient, { born: number; heard: number; until: number }>()
  let established = 0
  /** Connections opened before the first moment, or not heard from since the second, are not lent again. */
  let bornBefore = Number.NEGATIVE_INFINITY
  let silentSince = Number.NEGATIVE_INFINITY

  pool.on('connect', (client) => {
    established++
    const born = performance.now()
    // Spread out, so that connections opened together do not all expire together.
    lives.set(client, { born, heard: born, until: born + limits.age * (0.5 + Math.random() / 2) })
  })
  pool.on('remove', (client) => {
    if (lives.delete(client)) established--
  })
  const isTrusted = (client: pg.PoolClient): boolean => {
    const life = lives.get(client)
    return !!life && life.born >= bornBefore && life.heard >= silentSince && performance.now() < life.until
  }

  /** Makes callers queue for the connections that the pool has, instead of asking a full database for more. */
  const stopGrowing = (at: number) => {
    pool.options.max = Math.max(1, at)
    setTimeout(() => {
      pool.options.max = size
    }, FULL_MS).unref()
  }

  const takeAny = async (deadline: number): Promise<pg.PoolClient> => {
    for (let asked = 1; ; asked++) {
      try {
        return await inTime(deadline, pool.connect())
      } catch (cause) {
        const byHost = hosts.hasCaused(cause)
        if (byHost && asked < hosts.count && performance.now() < deadline) continue
        const error = byHost ? hosts.verdict(cause as Error) : cause
        asked = 0
        const shared = Math.min(established, pool.totalCount)
        const pause = shared > 0 ? SHARE_MS : RETRY_MS
        if (!(shared > 0 || isCrowded(error)) || performance.now() + pause > deadline) throw error
        if (shared === 0) onCrowded()
        stopGrowing(shared)
        await sleep(pause)
      }
    }
  }

  return {
    take: async () => {
      const deadline = performance.now() + limits.acquire
      for (;;) {
        const client = await takeAny(deadline)
        if (isTrusted(client)) return client
        client.release(true)
      }
    },
    praise: (client) => {
      const life = lives.get(client)
      if (life) life.heard = performance.now()
    },
    blame: (client, error, askedAt) => {
      const now = performance.now()
      // Either this session was opened as read-only, or the server is now a standby. A new connection shows which.
      if (cannotWrite(error)) {
        if (now - (lives.get(client)?.born ?? 0) < YOUNG_MS) return false
        bornBefore = now - YOUNG_MS
      }
      // After a migration, or when a pooler loses prepared statements, all older connections are affected alike.
      if (hasStaleStatements(error)) bornBefore = now
      // The server may have vanished without a word, and each of its other connections would cost a caller the same
      // wait.
      if (isSilence(error)) silentSince = Math.max(silentSince, askedAt)
      return belongsToConnection(error)
    },
    giveBack: (client, discard) => client.release(discard || !isTrusted(client) || isInTransaction(client)),
    spare: () => {
      if (pool.idleCount === 0) return
      pool.connect().then(
        (client) => client.release(true),
        () => {},
      )
    },
  }
}

/** The statements of the next borrower would become part of this transaction. */
function isInTransaction(client: pg.PoolClient): boolean {
  const status = client.getTransactionStatus()
  return status === 'T' || status === 'E'
}

/** Gives up at the deadline. A connection that comes later goes back to the pool, for another caller. */
async function inTime(deadline: number, coming: Promise<pg.PoolClient>): Promise<pg.PoolClient> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new Error('timeout exceeded when trying to connect'))
    coming.then(
      (client) => client.release(),
      () => {},
    )
  }, deadline - performance.now())
  try {
    return await Promise.race([coming, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
