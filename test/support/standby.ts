import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFile, chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Cluster, type ClusterOptions, startCluster, urlOf } from '../../dev/postgres/cluster.ts'
import { findTools } from '../../dev/postgres/run-as.ts'
import { type Forwarder, startForwarder } from './forwarder.ts'
import { answers } from './ports.ts'
import { query } from './postgres.ts'

/** A primary and a streaming standby, made from a copy of its files. */
export interface Pair extends AsyncDisposable {
  /** To whatever is the primary by the operator's word: see `takeOver`. Clients connect through it. */
  line: Forwarder
  /** Through that line, as superuser. */
  url: string
  /** Straight to hosts, in this order, as superuser: these two, or others as `host:port`. */
  over(...hosts: ('primary' | 'standby' | (string & {}))[]): string
  /** Where the standby listens, for those who are led to it. */
  standbyPort: number
  /** From the primary to the standby. */
  replication: Forwarder
  /** A statement of the operator's, on one of the two. */
  onPrimary(statement: string): Promise<pg.QueryResultRow[]>
  onStandby(statement: string): Promise<pg.QueryResultRow[]>
  /** SIGKILL of the primary: connections break, nothing is said. */
  killPrimary(): Promise<void>
  /** As an administrator stops it: it says goodbye, and the standby has everything. */
  stopPrimary(): Promise<void>
  /** Starts the stopped primary as a standby of the other one. */
  demotePrimary(): Promise<void>
  promoteStandby(): Promise<void>
  /** Promotes the standby and leads the line to it. */
  takeOver(): Promise<void>
}

const REPLICATING = ['wal_level=replica', 'max_wal_senders=4', 'wal_keep_size=512', 'hot_standby=on']

export async function startPair(): Promise<Pair> {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'claviger-failover-')))
  const password = randomBytes(16).toString('hex')
  const version = process.env.TEST_POSTGRES === '15' ? '15' : '18'
  const optionsOf = async (name: string): Promise<ClusterOptions> => {
    await mkdir(join(home, name))
    await chmod(join(home, name), 0o755)
    return { home: join(home, name), version, ephemeral: true, password, settings: REPLICATING }
  }
  await chmod(home, 0o755)
  const [first, second] = [await optionsOf('primary'), await optionsOf('standby')]
  const primary = await startCluster(first)
  const replication = await startForwarder(primary.port)
  const line = await startForwarder(primary.port)
  await copy(primary, first, second, replication.port)
  const standby = await startCluster(second)
  const on = (port: number) => (statement: string) => query(urlOf(port, password), statement)
  const [onPrimary, onStandby] = [on(primary.port), on(standby.port)]
  while ((await onPrimary(`SELECT FROM pg_stat_replication WHERE state = 'streaming'`)).length === 0) await sleep(20)

  let killed = false
  const end = async (signal: 'SIGKILL' | 'SIGINT') => {
    process.kill(await postmasterOf(first), signal)
    while (await answers(primary.port)) await sleep(5)
  }
  const promoteStandby = async () => {
    await onStandby('SELECT pg_promote(true, 20)')
  }
  const places: Record<string, string> = {
    primary: `127.0.0.1:${primary.port}`,
    standby: `127.0.0.1:${standby.port}`,
  }
  return {
    line,
    url: line.through(urlOf(primary.port, password)),
    over: (...hosts) =>
      urlOf(primary.port, password).replace(/@[^/]*/, `@${hosts.map((host) => places[host] ?? host).join(',')}`),
    standbyPort: standby.port,
    replication,
    onPrimary,
    onStandby,
    killPrimary: async () => {
      killed = true
      await end('SIGKILL')
    },
    stopPrimary: async () => {
      await end('SIGINT')
      while (await isRunning(first)) await sleep(5)
    },
    demotePrimary: async () => {
      await makeStandby(first, standby.port)
      await startCluster({ ...first, port: primary.port })
    },
    promoteStandby,
    takeOver: async () => {
      await promoteStandby()
      line.lead(standby.port)
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([line.close(), replication.close()])
      await standby.stop()
      // Started once more, it takes away what the killed one has left in the system's shared memory.
      await (killed ? await startCluster(first) : primary).stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

const dataName = ({ version }: ClusterOptions): string => `data-${version}`
const dataOf = async (options: ClusterOptions): Promise<string> => realpath(join(options.home, dataName(options)))

/** The files of a running cluster, as a standby of it that reaches it through a port. */
async function copy({ port }: Cluster, from: ClusterOptions, to: ClusterOptions, through: number): Promise<void> {
  const source = await dataOf(from)
  const tools = await toolsOf(to)
  const data = join(tools.home, dataName(to))
  const client = new pg.Client({ connectionString: urlOf(port, from.password) })
  await client.connect()
  try {
    await client.query(`SELECT pg_backup_start('standby', true)`)
    await promisify(execFile)('cp', ['-a', source, data])
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)')
    await rm(join(data, 'postmaster.pid'), { force: true })
    await writeFile(join(data, 'backup_label'), rows[0]?.labelfile ?? '')
  } finally {
    await client.end()
  }
  await tools.give(join(data, 'backup_label'))
  await makeStandby(to, through)
}

/** From the next start on, of whatever is at the port. */
async function makeStandby(options: ClusterOptions, port: number): Promise<void> {
  const data = await dataOf(options)
  const link = `host=127.0.0.1 port=${port} user=postgres password=${options.password} application_name=standby`
  await appendFile(join(data, 'postgresql.auto.conf'), `\nprimary_conninfo = '${link}'\n`)
  await writeFile(join(data, 'standby.signal'), '')
  await (await toolsOf(options)).give(join(data, 'standby.signal'))
}

const toolsOf = (options: ClusterOptions) => findTools(options.version, options.home, dataName(options))

async function postmasterOf(options: ClusterOptions): Promise<number> {
  const [pid] = (await readFile(join(await dataOf(options), 'postmaster.pid'), 'utf8')).split('\n')
  return Number(pid)
}

const isRunning = (options: ClusterOptions): Promise<boolean> =>
  postmasterOf(options).then(
    () => true,
    () => false,
  )
