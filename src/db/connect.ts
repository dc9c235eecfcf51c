import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { DAY, MINUTE } from '../durations.ts'
import { connectTo } from './client.ts'
import { watchConnections } from './connections.ts'
import { createHosts, type Hosts } from './hosts.ts'
import { lend } from './lend.ts'
import type { Schema } from './schema.ts'

export interface Database {
  db: Kysely<Schema>
  /** For the gauges: connections open, idle, and callers waiting for one. */
  pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number }
  /** Closes an idle connection, if there is one, so that another pool can open one. */
  spare(): void
}

/** In milliseconds; 0 for none. */
export interface Timeouts {
  /** Waiting for a connection, free or new. */
  acquire: number
  /** Waiting for a lock; enforced by PostgreSQL. */
  lock: number
  /** Running a statement; enforced by PostgreSQL. */
  statement: number
  /** Waiting for an answer; enforced here, because a server that has vanished without a word enforces nothing. */
  answer: number
  /** Between two statements of a transaction; enforced by PostgreSQL. */
  idleInTransaction: number
  /** Maximum age of a connection, so that a fault that nobody notices does not last. */
  age: number
}

export interface ConnectOptions {
  /** As the configuration completes it. */
  url: string
  /** Those of the URL, if several pools share what they find out about them. */
  hosts?: Hosts
  /** Connections at most. */
  size: number
  /** Named in pg_stat_activity. */
  applicationName?: string
  /** For migrations and bulk work, which may take longer than a request. */
  unhurried?: boolean
  /** Replace the defaults. */
  timeouts?: Partial<Timeouts>
  /** Called when an idle connection breaks. The pool has dropped it and opens another when one is needed. */
  onIdleError?: (error: Error) => void
  /** Called when this pool has no connection and the database refuses it one. */
  onCrowded?: () => void
}

const HURRIED: Timeouts = {
  acquire: 2000,
  lock: 2000,
  statement: 5000,
  answer: 7000,
  idleInTransaction: 10_000,
  age: 30 * MINUTE,
}
/** Set even though it hardly limits anything: the timeouts configured for the role are meant for requests. */
const UNHURRIED: Timeouts = { acquire: 10_000, lock: DAY, statement: DAY, answer: 0, idleInTransaction: DAY, age: DAY }

/**
 * A bounded pool with every timeout set, so that a slow or absent database turns into a prompt 503 and never into
 * requests that wait for ever.
 */
export function connect(options: ConnectOptions): Database {
  const {
    url,
    hosts = createHosts(url),
    size,
    applicationName = 'claviger',
    unhurried = false,
    onIdleError,
    onCrowded,
  } = options
  const timeouts = { ...(unhurried ? UNHURRIED : HURRIED), ...options.timeouts }
  const pool = new pg.Pool({
    ...connectTo(hosts, timeouts.acquire),
    max: size,
    connectionTimeoutMillis: timeouts.acquire,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    application_name: applicationName,
    statement_timeout: timeouts.statement,
    lock_timeout: timeouts.lock,
    idle_in_transaction_session_timeout: timeouts.idleInTransaction,
    query_timeout: timeouts.answer,
  })
  pool.on('error', (error) => onIdleError?.(error))
  // A connection that breaks during a query rejects the query and emits an error event as well; without a listener,
  // that event would end the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  const connections = watchConnections(pool, hosts, timeouts, onCrowded)
  return {
    db: new Kysely<Schema>({ dialect: new PostgresDialect({ pool: lend(connections, pool) }) }),
    pool,
    spare: connections.spare,
  }
}
