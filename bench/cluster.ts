import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { PostgresVersion } from '../dev/postgres/binaries.ts'
import { makeCluster, readNodes, urlOf, urlsOf } from '../dev/postgres/citus.ts'
import { openPostgres } from '../dev/postgres.ts'
import { migrate } from '../src/db/migrate.ts'
import { LONGEST } from './children.ts'
import { isAlive, parentOf, programOf } from './processes.ts'
import { within } from './within.ts'

/** One PostgreSQL, or the coordinator and the workers of a Citus cluster. */
export interface Cluster {
  version: string
  /** Names it in a table. */
  kind: string
  /** The postmaster, whose children are all of PostgreSQL's processes; of Citus the coordinator's. 0 if it is on another machine. */
  pid: number
  /** Postmasters of the workers; none but with Citus. */
  workers: number[]
  /** Of our own files; removed when the run is over. */
  directory: string
  /** Makes an empty database with our schema. */
  createDatabase(): Promise<Database>
  /** Drops the databases that are left; stops PostgreSQL and removes its data if it is ours. */
  close(): Promise<void>
}

export interface Database {
  url: string
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  drop(): Promise<void>
}

/** Beside the clone and not in the system's folder for temporary files, which may be in memory: fsync must cost. */
const home = join(import.meta.dirname, '..', '.claviger', 'bench')

const opened = new Set<Promise<Cluster>>()

/** @param url - a database of the server, for what administers: with Citus one of the coordinator that knows the workers. */
export const openGiven = (url: string): Promise<Cluster> => keep(use(url))

/** A PostgreSQL of our own with its default settings: fsync and synchronous_commit are on. */
export const openOwn = (version?: PostgresVersion): Promise<Cluster> => keep(startOwn(version))

/** All that were opened, and that are still being opened. */
export async function closeClusters(): Promise<void> {
  for (const opening of opened) await (await opening.catch(() => undefined))?.close()
}

function keep(opening: Promise<Cluster>): Promise<Cluster> {
  opened.add(opening)
  return opening
}

async function startOwn(version: PostgresVersion = '18'): Promise<Cluster> {
  const directory = join(await makeHome(), `postgres-${version}`)
  await mkdir(directory)
  const postgres = await within(LONGEST, 'the start of PostgreSQL', openPostgres({ directory, version }))
  const cluster = await use(postgres.url)
  return {
    ...cluster,
    close: async () => {
      await cluster.close()
      await postgres.close()
      // What keeps PostgreSQL waits a little for another user before it stops it.
      for (let waited = 0; isAlive(cluster.pid) && waited < 30_000; waited += 100) await sleep(100)
      await rm(cluster.directory, { recursive: true, force: true })
    },
  }
}

async function use(server: string): Promise<Cluster> {
  const directory = await makeHome()
  const nodes = await readNodes(server)
  const machines = urlsOf(nodes, server)
  const administer = async (statement: string): Promise<void> => {
    for (const url of machines) await once(url, statement)
  }
  const facts = await Promise.all(machines.map(lookAt))
  const [first, ...others] = facts
  if (!first) throw new Error('there is no coordinator')
  const databases = new Set<Database>()
  let made = 0
  return {
    version: first.version,
    kind:
      nodes.length === 0
        ? `PostgreSQL ${first.version}`
        : `Citus, ${others.length} worker${others.length === 1 ? '' : 's'}`,
    pid: first.pid,
    workers: others.map(({ pid }) => pid),
    directory,
    createDatabase: async () => {
      const name = `claviger_bench_${process.pid}_${++made}`
      await administer(`CREATE DATABASE ${name} TEMPLATE template0`)
      const url = urlOf(server, name)
      if (nodes.length === 0) await migrate(url)
      else await makeCluster(nodes, server, name, { shards: 32 })
      const client = await connectTo(url)
      const database: Database = {
        url,
        query: client.query,
        drop: async () => {
          databases.delete(database)
          await client.end()
          // Citus has a process of its own in each database, which comes back by itself where it may.
          await administer(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`)
          await administer(`DROP DATABASE ${name} WITH (FORCE)`)
        },
      }
      databases.add(database)
      return database
    },
    close: async () => {
      for (const database of databases) await database.drop()
    },
  }
}

/** @throws Error if what it commits could be lost: its figures would be those of another engine. */
async function lookAt(url: string): Promise<{ version: string; pid: number }> {
  const client = await connectTo(url)
  try {
    const [facts] = await client.query<{ version: string; backend: number; fsync: string; commit: string }>(
      `SELECT split_part(current_setting('server_version'), ' ', 1) AS version, pg_backend_pid() AS backend,
        current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit`,
    )
    if (!facts || facts.fsync !== 'on' || facts.commit !== 'on') throw new Error('this PostgreSQL is not durable')
    // A process of that number may be another one here if the server is elsewhere.
    const here = (await programOf(facts.backend)) === 'postgres'
    return { version: facts.version, pid: here ? await parentOf(facts.backend) : 0 }
  } finally {
    await client.end()
  }
}

async function once(url: string, text: string): Promise<void> {
  const client = await connectTo(url)
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

async function connectTo(url: string): Promise<Pick<Database, 'query'> & { end(): Promise<void> }> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 30_000,
    query_timeout: LONGEST * 1000,
  })
  client.on('error', () => {})
  await client.connect()
  return {
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await client.query<Row>(text, values)).rows,
    end: () => client.end(),
  }
}

/** Makes the folder of this run, and removes what runs left that were killed. */
async function makeHome(): Promise<string> {
  const directory = join(home, String(process.pid))
  await mkdir(directory, { recursive: true })
  for (const name of await readdir(home)) {
    if (!isAlive(Number(name))) await rm(join(home, name), { recursive: true, force: true })
  }
  return directory
}
