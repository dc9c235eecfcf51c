import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { openPostgres } from '../dev/postgres.ts'
import { migrate } from '../src/db/migrate.ts'
import { isAlive, parentOf } from './processes.ts'

export interface Cluster {
  version: string
  /** The postmaster: its children are all of PostgreSQL's processes. */
  pid: number
  /** Removed when the run is over. */
  directory: string
  /** Makes an empty database with our schema. */
  createDatabase(name: string): Promise<Database>
  /** Stops PostgreSQL and removes its data. */
  close(): Promise<void>
}

export interface Database {
  url: string
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  drop(): Promise<void>
}

/** Beside the clone and not in the system's folder for temporary files, which may be in memory: fsync must cost. */
const home = join(import.meta.dirname, '..', '.claviger', 'bench')

/** A PostgreSQL of our own with its default settings: fsync and synchronous_commit are on. */
export async function openCluster(): Promise<Cluster> {
  await sweep()
  const directory = join(home, String(process.pid))
  await mkdir(directory, { recursive: true })
  const postgres = await openPostgres({ directory })
  const admin = await connectTo(postgres.url)
  const [facts] = await admin.query<{ version: string; backend: number; fsync: string; commit: string }>(
    `SELECT current_setting('server_version') AS version, pg_backend_pid() AS backend,
      current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit`,
  )
  if (!facts || facts.fsync !== 'on' || facts.commit !== 'on') throw new Error('this PostgreSQL is not durable')
  const pid = await parentOf(facts.backend)

  return {
    version: facts.version,
    pid,
    directory,
    createDatabase: async (name) => {
      await admin.query(`CREATE DATABASE ${name}`)
      const url = postgres.url.replace(/[^/]*$/, name)
      await migrate(url)
      const client = await connectTo(url)
      return {
        url,
        query: client.query,
        drop: async () => {
          await client.end()
          await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
        },
      }
    },
    close: async () => {
      await admin.end().catch(() => {})
      await postgres.close()
      // What keeps PostgreSQL waits a little for another user before it stops it.
      for (let waited = 0; isAlive(pid) && waited < 30_000; waited += 100) await sleep(100)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function connectTo(url: string): Promise<Pick<Database, 'query'> & { end(): Promise<void> }> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return {
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await client.query<Row>(text, values)).rows,
    end: () => client.end(),
  }
}

/** Removes what runs left that were killed. */
async function sweep(): Promise<void> {
  if (!existsSync(home)) return
  for (const name of await readdir(home)) {
    if (!isAlive(Number(name))) await rm(join(home, name), { recursive: true, force: true })
  }
}
