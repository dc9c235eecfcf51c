import { Type } from 'typebox'
import { pendingMigrations } from '../../db/migrate.ts'
import type { Db } from '../../db/schema.ts'
import { probeWrites } from '../../db/write-probe.ts'
import { endpoint } from '../requests/endpoint.ts'

/** Set by the process; shown by the probes and in replies. */
export interface Lifecycle {
  /** The process was told to stop: requests under way are finished, and no more should come. */
  stopping: boolean
  /** This process leaves the work to others of its server, which goes on: it is as ready as before. */
  leaving?: boolean
}

/** Whether each reply is to be the last of its connection. */
export function endsConnections({ stopping, leaving = false }: Lifecycle): boolean {
  return stopping || leaving
}

const Alive = Type.Object({ status: Type.Literal('ok') })
const NotReady = Type.Object({ status: Type.Literal('unavailable') })
const DATABASE_ANSWERS_WITHIN_MS = 1000
/** So many probes in as many seconds. */
const BURST = 2

interface Parts {
  db: Db
  /** Whether there is a key to sign with. */
  keyring: { ready(): boolean }
}

/**
 * `/livez` tells whether the process runs, and checks nothing else, because restarting it would cure nothing else.
 * `/readyz` tells whether requests can be served: whether a sign-in could succeed. Neither says what is wrong; the log
 * does.
 */
export function healthEndpoints(deps: Parts, lifecycle: Lifecycle) {
  const isReady = readiness(deps, lifecycle)
  return {
    alive: endpoint(
      {
        tags: ['Health'],
        summary: 'Is the process alive',
        description: 'Asks nobody.',
        response: { 200: { ...Alive, description: 'Alive' } },
      },
      async () => ({ status: 'ok' as const }),
    ),
    ready: endpoint(
      {
        tags: ['Health'],
        summary: 'Can it serve',
        description:
          'The database answers, its schema is current, a signing key is loaded, and the server is not stopping.',
        response: { 200: { ...Alive, description: 'Ready' }, 503: { ...NotReady, description: 'Not now' } },
      },
      async (_request, reply) => {
        if (await isReady()) return { status: 'ok' as const }
        return reply
          .code(503)
          .header('retry-after', '1')
          .send({ status: 'unavailable' as const })
      },
    ),
  }
}

/**
 * One probe at a time, shared by all who ask meanwhile, and one a second on average: the endpoint is public, and a
 * flood of requests must not become a flood of queries. Those who ask more often get the last answer.
 */
function readiness({ db, keyring }: Parts, lifecycle: Lifecycle): () => Promise<boolean> {
  let migrated = false
  let running: Promise<boolean> | undefined
  let last = false
  const begun: number[] = []

  const probe = async (): Promise<boolean> => {
    try {
      migrated ||= (await pendingMigrations(db)).length === 0
      if (migrated) await probeWrites(db)
    } catch {
      // When the database answers again, its tables may be different.
      migrated = false
    }
    return migrated
  }
  const ask = async (): Promise<boolean> => {
    const now = performance.now()
    if (!running) {
      if (begun.length === BURST && now - (begun[0] ?? 0) < BURST * 1000) return last
      begun.push(now)
      if (begun.length > BURST) begun.shift()
      running = within(DATABASE_ANSWERS_WITHIN_MS, probe()).finally(() => {
        running = undefined
      })
    }
    last = await running
    return last
  }
  return async () => {
    if (lifecycle.stopping || !keyring.ready()) return false
    return (await ask()) && !lifecycle.stopping
  }
}

/** Resolves to false if the answer takes longer. */
async function within(milliseconds: number, answer: Promise<boolean>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(false), milliseconds)
  try {
    return await Promise.race([answer, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
