import { Type } from 'typebox'
import { pendingMigrations } from '../../db/migrate.ts'
import type { Db } from '../../db/schema.ts'
import { probeWrites } from '../../db/write-probe.ts'
import { endpoint } from '../requests/endpoint.ts'

/** Shared by the process, which sets it, and the probes and replies, which show it. */
export interface Lifecycle {
  /** A signal to stop came: finish what runs, attract nothing new. */
  stopping: boolean
}

const Alive = Type.Object({ status: Type.Literal('ok') })
const NotReady = Type.Object({ status: Type.Literal('unavailable') })
const DATABASE_ANSWERS_WITHIN_MS = 1000
/** Probes in so many seconds. */
const BURST = 2

interface Parts {
  db: Db
  /** Whether there is a key to sign with. */
  keyring: { ready(): boolean }
}

/**
 * `/livez` says that the process turns; restarting it cures nothing else, so it asks nobody. `/readyz` says that traffic
 * can be served: that a sign-in could work. Neither tells what is wrong: that is in the log, not for everyone (REQ-165).
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
 * One probe at a time, shared by all who ask meanwhile, and one a second: the endpoint is public and must not multiply into
 * queries. Who asks more often hears the last answer; who asks now and then, what is true now.
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
      // The tables may be others when it answers again.
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

/** False if the answer takes longer. */
async function within(milliseconds: number, answer: Promise<boolean>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(false), milliseconds)
  try {
    return await Promise.race([answer, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
