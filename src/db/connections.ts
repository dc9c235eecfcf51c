import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { belongsToConnection, cannotWrite, hasStaleStatements, isCrowded, isSilence } from './errors.ts'

/** The connections of a pool, and how far each one is trusted. */
export interface Connections {
  /** A free one or a new one. @throws if there is none in time. */
  take(): Promise<pg.PoolClient>
  /** It has answered. */
  praise(client: pg.PoolClient): void
  /**
   * @param askedAt when the statement was sent that came to this.
   * @returns whether the error shows that this one is good for nothing more, which others may not be.
   */
  blame(client: pg.PoolClient, error: unknown, askedAt: number): boolean
  giveBack(client: pg.PoolClient, discard: boolean): void
  /** Closes one that is idle, if there is one. */
  spare(): void
}

/** So young, a connection says of the server what any other would. */
const YOUNG_MS = 1000
/** How long the pool does not try to grow after it could not. */
const FULL_MS = 1000
/** Before joining those who wait for one of its connections; before knocking again, where it has none. */
const SHARE_MS = 20
const RETRY_MS = 250

/** @param onCrowded is called where the pool has no connection, and the database none for it. */
export function watchConnections(
  pool: pg.Pool,
  limits: { acquire: number; age: number },
  onCrowded: () => void = () => {},
): Connections {
  const size = pool.options.max
  const lives = new WeakMap<pg.PoolClient, { born: number; heard: number; until: number }>()
  let established = 0
  /** Those born before this moment, or not heard since that one, are not lent again. */
  let bornBefore = Number.NEGATIVE_INFINITY
  let silentSince = Number.NEGATIVE_INFINITY

  pool.on('connect', (client) => {
    established++
    const born = performance.now()
    // Of those opened together, not all end together.
    lives.set(client, { born, heard: born, until: born + limits.age * (0.5 + Math.random() / 2) })
  })
  pool.on('remove', (client) => {
    if (lives.delete(client)) established--
  })
  const isTrusted = (client: pg.PoolClient): boolean => {
    const life = lives.get(client)
    return !!life && life.born >= bornBefore && life.heard >= silentSince && performance.now() < life.until
  }

  /** Callers then wait for the connections that there are, in turn, instead of knocking at a full house. */
  const stopGrowing = (at: number) => {
    pool.options.max = Math.max(1, at)
    setTimeout(() => {
      pool.options.max = size
    }, FULL_MS).unref()
  }

  const takeAny = async (deadline: number): Promise<pg.PoolClient> => {
    for (;;) {
      try {
        return await inTime(deadline, pool.connect())
      } catch (error) {
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
      // A session may have become read-only for good when it was opened, or with its server; a new one tells which.
      if (cannotWrite(error)) {
        if (now - (lives.get(client)?.born ?? 0) < YOUNG_MS) return false
        bornBefore = now - YOUNG_MS
      }
      // A migration, or a pooler that forgot: all that were there have prepared the same.
      if (hasStaleStatements(error)) bornBefore = now
      // A server that is gone without a word: each of the others would cost somebody the same wait.
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

/** What the next borrower ran on it would be part of somebody else's transaction. */
function isInTransaction(client: pg.PoolClient): boolean {
  const status = client.getTransactionStatus()
  return status === 'T' || status === 'E'
}

/** One that comes too late goes back to the pool: somebody else may be glad of it. */
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
