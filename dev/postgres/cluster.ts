import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { PostgresVersion } from './binaries.ts'
import { findTools, type Tools } from './run-as.ts'

export interface ClusterOptions {
  /** Absolute, without symbolic links. */
  home: string
  version: PostgresVersion
  /** Data that nobody will miss: written without regard for a crash of the machine. */
  ephemeral: boolean
  password: string
  /** Tried first, so that whoever was connected before a crash finds the cluster again. */
  port?: number | undefined
  /** `name=value`, instead of what is usual here. */
  settings?: string[]
}

export interface Cluster {
  port: number
  running(): Promise<boolean>
  /** Rolls back what is open, disconnects everybody and waits for the end. */
  stop(): Promise<void>
}

export const database = 'claviger'
const carelessSettings = [
  'fsync=off',
  'full_page_writes=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'max_connections=200',
]
/** A sign-in to the database costs 4,096 hashes on each side, and tests make thousands. PostgreSQL 15 does not know it. */
const quickSignIn = 'scram_iterations=1'
const startPatienceMs = 30_000

export const urlOf = (port: number, password: string): string =>
  `postgres://postgres:${password}@127.0.0.1:${port}/${database}`

/** Starts the cluster of `home`, made first if it is new. One that a killed keeper left running is taken over. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const dataName = `data-${options.version}`
  const tools = await findTools(options.version, options.home, dataName)
  const data = join(tools.home, dataName)
  if (!(await stat(join(data, 'PG_VERSION')).catch(() => undefined))) await create(tools, dataName, options)
  const port = (await takeOver(data, options.password)) ?? (await start(tools, data, options))
  await createDatabase(port, options.password)
  return {
    port,
    running: async () => (await livePostmaster(data)) !== undefined,
    stop: async () => {
      const mode = options.ephemeral ? 'immediate' : 'fast'
      const stopped = await tools.run('pg_ctl', ['stop', '-w', '-t', '60', '-m', mode, '-D', data])
      if (stopped.code !== 0 && (await livePostmaster(data)))
        throw new Error(`PostgreSQL did not stop: ${stopped.text}`)
      if (options.ephemeral) await rm(data, { recursive: true, force: true })
    },
  }
}

/** Stops what a killed keeper of an ephemeral cluster left running. */
export async function stopLeftover(home: string): Promise<void> {
  for (const version of ['15', '18'] as const) {
    const dataName = `data-${version}`
    if (!(await livePostmaster(join(home, dataName)))) continue
    const tools = await findTools(version, home, dataName)
    await tools.run('pg_ctl', ['stop', '-w', '-m', 'immediate', '-D', join(home, dataName)])
  }
}

/** initdb in a folder beside the final one: whatever interrupts it, the next start finds all of it or nothing. */
async function create(tools: Tools, dataName: string, { version, ephemeral, password }: ClusterOptions): Promise<void> {
  for (const name of await readdir(tools.home)) {
    if (name.endsWith('.new')) await rm(join(tools.home, name), { recursive: true, force: true })
  }
  const fresh = join(tools.home, `${randomBytes(6).toString('hex')}.new`)
  const passwordFile = `${fresh}.password.new`
  await mkdir(fresh, { mode: 0o700 })
  await writeFile(passwordFile, password, { mode: 0o600, flag: 'wx' })
  await Promise.all([tools.give(fresh), tools.give(passwordFile)])
  // The same order and case rules on every machine. PostgreSQL 15 has them only where the system brings the locale.
  const locale =
    version === '15'
      ? [`--locale=${process.platform === 'linux' ? 'C.UTF-8' : 'en_US.UTF-8'}`]
      : ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const made = await tools.run('initdb', [
    `--pgdata=${fresh}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    ...locale,
    ...(ephemeral ? ['--no-sync'] : []),
    ...(ephemeral && version !== '15' ? [`--set=${quickSignIn}`] : []),
  ])
  await rm(passwordFile)
  if (made.code !== 0) throw new Error(`initdb failed:\n${made.text}`)
  const data = join(tools.home, dataName)
  await rm(data, { recursive: true, force: true })
  await rename(fresh, data)
}

async function start(tools: Tools, data: string, options: ClusterOptions): Promise<number> {
  const log = join(data, 'server.log')
  const giveUpAt = performance.now() + startPatienceMs
  for (let preferred = options.port ?? 0; ; preferred = 0) {
    const port = await freePort(preferred)
    await removeStalePidFile(data)
    await rm(log, { force: true })
    const settings = [
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'timezone=UTC',
      'log_timezone=UTC',
      'log_checkpoints=off',
      ...(options.ephemeral ? carelessSettings : []),
      ...(options.settings ?? []),
    ]
    const flags = `-p ${port} ${settings.map((setting) => `-c ${setting}`).join(' ')}`
    // pg_ctl gives the server a session of its own: Ctrl-C in a terminal must not end it before its users have finished.
    const started = await tools.run('pg_ctl', ['start', '-w', '-t', '60', '-s', '-D', data, '-l', log, '-o', flags])
    if (started.code === 0) return port
    const reason = await readFile(log, 'utf8').catch(() => started.text)
    // The port was taken meanwhile, or processes of a killed server are still about to exit.
    const passing = /could not bind|Address already in use|still in use|already exists/.test(reason)
    if (!passing || performance.now() > giveUpAt) throw new Error(`PostgreSQL did not start:\n${reason}`)
    await sleep(200)
  }
}

/** The port of a server that already runs on this data and accepts our password. */
async function takeOver(data: string, password: string): Promise<number | undefined> {
  const giveUpAt = performance.now() + startPatienceMs
  for (let found = await livePostmaster(data); found; found = await livePostmaster(data)) {
    const client = new pg.Client({ connectionString: urlOf(found.port, password), database: 'postgres' })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.end()
      return found.port
    } catch (error) {
      // Class 57: it is starting up or shutting down.
      const code = (error as { code?: string }).code ?? ''
      const passing = code.startsWith('57P') || code.startsWith('ECONN')
      if (!passing || performance.now() > giveUpAt) throw error
      await sleep(100)
    }
  }
  return undefined
}

async function createDatabase(port: number, password: string): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf(port, password).replace(/[^/]*$/, 'postgres') })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${database}`)
  } catch (error) {
    // It is there; or this is a standby, and has what its primary has.
    const [duplicate, readOnly] = ['42P04', '25006']
    const { code } = error as { code?: string }
    if (code !== duplicate && code !== readOnly) throw error
  } finally {
    await client.end()
  }
}

async function livePostmaster(data: string): Promise<{ pid: number; port: number } | undefined> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const [pid, port] = [Number(lines[0]), Number(lines[3])]
  return pid > 0 && (await isPostgres(pid)) ? { pid, port } : undefined
}

/**
 * After a kill or a restart of the container the number in postmaster.pid may belong to anything, our own processes
 * included, and PostgreSQL would refuse to start. The keeper's lock means that nobody else starts on this data, and
 * PostgreSQL still checks the shared memory of servers that live.
 */
async function removeStalePidFile(data: string): Promise<void> {
  if (!(await livePostmaster(data))) await rm(join(data, 'postmaster.pid'), { force: true })
}

async function isPostgres(pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    return (
      (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0', 1)[0]?.endsWith('postgres') ?? false
    )
  }
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** @returns `preferred` if it is free (0: no preference), else another port. */
function freePort(preferred: number): Promise<number> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(freePort(0)))
    server.listen(preferred, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => done(port))
    })
  })
}
