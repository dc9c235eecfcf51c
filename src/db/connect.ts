import { createHash } from 'node:crypto'
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely'
import pg from 'pg'
import type { Schema } from './schema.ts'

export interface Database {
  db: Kysely<Schema>
  /** For the gauges: connections open, idle, and callers waiting for one. */
  pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number }
}

export interface ConnectOptions {
  url: string
  /** Connections at most. */
  size: number
  /** Named in pg_stat_activity. */
  applicationName?: string
  /** For migrations and bulk work, which may rightly take longer than a request. */
  unhurried?: boolean
  /** An idle connection broke: the pool has dropped it and opens another when one is needed. */
  onIdleError?: (error: Error) => void
}

/**
 * How many of a server's connections are set aside for refreshes. Nothing else may take them: whatever a flood of other
 * requests does to the rest, those who are signed in stay so.
 */
export function setAside(size: number): number {
  return Math.max(1, Math.floor(size / 3))
}

/**
 * A bounded pool with every timeout set, so that a slow or absent database turns into a prompt 503 and never into
 * requests that wait for ever: 2 s for a connection, 2 s for a lock, 5 s for a statement.
 */
export function connect(options: ConnectOptions): Database {
  const { url, size, applicationName = 'claviger', unhurried = false, onIdleError } = options
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: unhurried ? 10_000 : 2000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    application_name: applicationName,
    ...(unhurried
      ? {}
      : {
          statement_timeout: 5000,
          lock_timeout: 2000,
          idle_in_transaction_session_timeout: 10_000,
          // statement_timeout is the server's; one that vanished without closing the connection never answers.
          query_timeout: 7000,
        }),
  })
  pool.on('error', (error) => onIdleError?.(error))
  // A connection that breaks while a query runs on it rejects the query, and says so a second time as an event; without
  // a listener that event ends the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  return {
    db: new Kysely<Schema>({ dialect: new PostgresDialect({ pool: namingStatements(pool) }) }),
    pool,
  }
}

/**
 * Gives every statement a name made from its text, so that PostgreSQL parses and plans it once per connection: measured,
 * a rotation then costs less than half. Statement texts are few because lists are passed as arrays, never spelled out.
 */
function namingStatements(pool: pg.Pool): PostgresPool {
  const names = new Map<string, string>()
  const nameOf = (text: string): string => {
    let name = names.get(text)
    if (name === undefined) {
      name = createHash('sha256').update(text).digest('base64url').slice(0, 16)
      names.set(text, name)
    }
    return name
  }
  const wrap = (client: pg.PoolClient) => {
    let broken = false
    return {
      query: async (text: string, values?: readonly unknown[]) => {
        try {
          // Without parameters it is a transaction's BEGIN or COMMIT, or a migration of many statements.
          return await (values?.length
            ? client.query({ name: nameOf(text), text, values: [...values] })
            : client.query(text))
        } catch (error) {
          // No answer came in time: one may still arrive and would be taken for that of the next query.
          if ((error as Error).message === 'Query read timeout') broken = true
          throw error
        }
      },
      release: (): void => client.release(broken),
    }
  }
  const wrapped = new WeakMap<pg.PoolClient, ReturnType<typeof wrap>>()
  return {
    options: pool.options,
    connect: async () => {
      const client = await pool.connect()
      const known = wrapped.get(client) ?? wrap(client)
      wrapped.set(client, known)
      return known as unknown as PostgresPoolClient
    },
    end: () => pool.end(),
  }
}
