import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { deriveServerKeys, type KeyList } from '../src/config/secrets.ts'
import type { Cluster, Database } from './cluster.ts'
import type { Report, Task } from './driver.ts'
import { type Outcome, type Pace, sumFaults } from './load.ts'
import { cpuOfFamily } from './processes.ts'
import { mintChains, seed } from './seed.ts'
import { type Server, type ServerOptions, startServer } from './server.ts'
import type { Work } from './sources.ts'
import { within } from './within.ts'

export interface Options {
  /** Of one measurement. */
  seconds: number
  /** Of the large table in the growth row. */
  families: number
  /** Of the row that looks at the size of the table. */
  rotations: number
  /** URLs of servers to use in place of one of our own; the row engine compares all of them with one of our own. */
  databases: string[]
}

export interface Driver {
  /** Token chains for the refreshes that follow. */
  load(tokens: string[]): Promise<void>
  run(server: Pick<Server, 'port'>, work: Work, pace: Omit<Pace, 'port'>): Promise<Outcome>
  twice(ports: [number, number], chains: number, seconds: number): Promise<Outcome>
  stop(): void
}

export interface Stage {
  options: Options
  cluster: Cluster
  secret: string
  keys: KeyList
  issuer: string
  say(text: string): void
  /** An own database with users and families; dropped when the row is over. */
  prepare(size: { users: number; families: number }): Promise<Database>
  chains(database: Database, count: number): Promise<string[]>
  start(database: Pick<Database, 'url'>, options?: Pick<ServerOptions, 'env' | 'nodeArgs' | 'limits'>): Promise<Server>
  /** `yielding`: at the lowest priority, for those whose work is not to take the processor from what is measured. */
  drive(tokens?: string[], options?: { yielding: boolean }): Promise<Driver>
  /** Ends the servers and drivers and drops the databases of one row. */
  clear(): Promise<void>
}

export function createStage(options: Options, cluster: Cluster, say: (text: string) => void): Stage {
  const bytes = randomBytes(32)
  const secret = bytes.toString('base64')
  const keys: KeyList = [deriveServerKeys(bytes)]
  const issuer = 'http://localhost:3000'
  const closing: (() => unknown)[] = []
  const chains = (database: Database, count: number): Promise<string[]> => mintChains(database.query, keys, count)

  return {
    options,
    cluster,
    secret,
    keys,
    issuer,
    say,
    prepare: async (size) => {
      const database = await cluster.createDatabase()
      closing.push(database.drop)
      await seed(database.query, {
        ...size,
        progress: (made, wanted) => wanted > 100_000 && say(`seeding: ${Math.floor((100 * made) / wanted)} %`),
      })
      return database
    },
    chains,
    start: async ({ url }, more = {}) => {
      const server = await startServer({
        databaseUrl: url,
        secret,
        issuer,
        log: join(cluster.directory, 'server.log'),
        ...more,
      })
      closing.push(() => server.stop())
      return server
    },
    drive: async (tokens, { yielding } = { yielding: false }) => {
      const driver = startDriver(new URL(issuer).host, yielding)
      closing.push(driver.stop)
      if (tokens) await driver.load(tokens)
      return driver
    },
    clear: async () => {
      for (const close of closing.splice(0).toReversed()) await close()
    },
  }
}

/** Seconds that a load may go on after its time, until the last answers are there. */
const AFTERWARDS = 120

function startDriver(host: string, yielding: boolean): Driver {
  const child = fork(join(import.meta.dirname, 'driver.ts'))
  if (yielding && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
  let settle: ((report: Report) => void) | undefined
  child.on('message', (report: Report) => settle?.(report))
  child.on('exit', () => settle?.({ error: 'the driver ended' }))
  const ask = async (task: Task): Promise<Outcome | undefined> => {
    const reported = new Promise<Report>((resolve) => {
      settle = resolve
      child.send(task)
    })
    const seconds = 'twice' in task ? task.twice.seconds : 'seconds' in task ? task.seconds : 0
    const report = await within(seconds + AFTERWARDS, `the end of a load of ${seconds} s`, reported)
    if ('error' in report) throw new Error(report.error)
    return report.outcome
  }
  return {
    load: async (tokens) => void (await ask({ host, tokens })),
    run: async ({ port }, work, pace) => (await ask({ host, work, port, ...pace })) as Outcome,
    twice: async (ports, chains, seconds) => (await ask({ host, twice: { ports, chains, seconds } })) as Outcome,
    stop: () => void child.kill('SIGKILL'),
  }
}

export interface Costs {
  /** CPU milliseconds per request without fault. */
  node: number
  /** On all machines of the database; NaN if it is not on this one. */
  postgres: number
  /** That on the workers of Citus. */
  workers: number
}

/** What the server and PostgreSQL spend on a task of the driver, per request. */
export async function withCosts(
  { cluster }: Pick<Stage, 'cluster'>,
  server: Pick<Server, 'pid'>,
  work: () => Promise<Outcome>,
): Promise<Outcome & Costs> {
  const machines = [cluster.pid, ...cluster.workers]
  const read = () => Promise.all([server.pid, ...machines].map(cpuOfFamily))
  const before = await read()
  const outcome = await work()
  const [node = Number.NaN, ...each] = (await read()).map((ms, index) => (ms - (before[index] ?? 0)) / outcome.done)
  const sum = (costs: number[]): number => costs.reduce((all, cost) => all + cost, 0)
  return machines.includes(0)
    ? { ...outcome, node, postgres: Number.NaN, workers: Number.NaN }
    : { ...outcome, node, postgres: sum(each), workers: sum(each.slice(1)) }
}

/** Of several measurements of one thing. */
export function sumUp(rounds: (Outcome & Costs)[]) {
  const sum = (read: (round: Outcome & Costs) => number): number => rounds.reduce((all, each) => all + read(each), 0)
  const done = sum((each) => each.done)
  return {
    perSecond: done / sum((each) => each.seconds),
    node: sum((each) => each.node * each.done) / done,
    postgres: sum((each) => each.postgres * each.done) / done,
    workers: sum((each) => each.workers * each.done) / done,
    faults: sumFaults(...rounds),
  }
}

/** Where PostgreSQL's part is spent, in words; nothing without workers. */
export function wordsOnMachines({ cluster }: Pick<Stage, 'cluster'>, { postgres, workers }: Costs): string {
  if (cluster.workers.length === 0) return ''
  return `; coordinator ${(postgres - workers).toFixed(3)}, workers ${workers.toFixed(3)} ms`
}

/** Until V8 has compiled what is hot and every page that is written has had its full image in the log. */
export const warm = (driver: Driver, server: Server, seconds = 3, work: Work = { kind: 'refresh' }): Promise<Outcome> =>
  driver.run(server, work, { connections: 32, seconds })
