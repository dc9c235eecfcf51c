import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Database } from '../cluster.ts'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { emailOf, password } from '../seed.ts'
import { type Stage, warm } from '../stage.ts'

const users = 5000
const cores = availableParallelism()
const here = ['--import', join(import.meta.dirname, '../bare/hash-here.ts')]

/** Whether two hundred people who sign in at once delay those who are signed in already. */
export async function flood(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const database = await stage.prepare({ users, families: 10_000 })

  stage.say('flood: refreshes without it')
  const { rate, calm } = await withoutFlood(stage, database)
  const during = (name: string, more: { env?: Record<string, string>; nodeArgs?: string[] } = {}) => {
    stage.say(`flood: 200 sign-ins at a time, ${name}`)
    return withFlood(stage, database, rate, seconds, more)
  }
  const usual = await during('default settings')
  const wide = await during('a hash per core in the same process', {
    env: { HASH_QUEUE: '10000', UV_THREADPOOL_SIZE: String(3 * cores + 2) },
    nodeArgs: here,
  })
  const control = await during('hashes unbounded in the same process', {
    // Four threads are what Node gives a program that does nothing about it; signatures then queue behind the hashes.
    env: { HASH_CONCURRENCY: '256', HASH_QUEUE: '10000', UV_THREADPOOL_SIZE: '4' },
    nodeArgs: here,
  })
  const best = Math.max(usual.perSecond, wide.perSecond, control.perSecond)

  const latencies = ({ p50, p99, p999 }: Outcome) => ({ perSecond: rate, p50, p99, p999 })
  return [
    {
      what: 'refresh under a login flood: p99 ÷ p99 without',
      ...latencies(usual.refreshes),
      against: `p99 ${calm.p99.toFixed(1)} ms`,
      figure: usual.refreshes.p99 / calm.p99,
      unit: '×',
      target: { atMost: 3 },
      faults: sumFaults(calm, usual.refreshes),
    },
    {
      what: 'logins completed in it ÷ best arrangement',
      perSecond: usual.perSecond,
      against: `${best.toFixed(1)}/s (the same process ${wide.perSecond.toFixed(1)}, unbounded ${control.perSecond.toFixed(1)})`,
      figure: usual.perSecond / best,
      target: { atLeast: 0.9 },
    },
    {
      what: 'control: hashes unbounded, p99 ÷ the default’s',
      ...latencies(control.refreshes),
      against: `p99 ${usual.refreshes.p99.toFixed(1)} ms`,
      figure: control.refreshes.p99 / usual.refreshes.p99,
      unit: '×',
      target: { atLeast: 10 },
    },
    {
      what: 'a hash per core in the same process: p99 ÷ p99 without flood',
      ...latencies(wide.refreshes),
      against: `p99 ${calm.p99.toFixed(1)} ms`,
      figure: wide.refreshes.p99 / calm.p99,
      unit: '×',
    },
  ]
}

/** A fifth of what the server can do: there must be room for the sign-ins, whose core the refreshes do not have. */
async function withoutFlood(stage: Stage, database: Database): Promise<{ rate: number; calm: Outcome }> {
  const server = await stage.start(database)
  const driver = await stage.drive(await stage.chains(database, 10_000))
  const most = await warm(driver, server)
  const rate = Math.round((most.done / most.seconds) * 0.2)
  const { seconds } = stage.options
  const calm = await driver.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate })
  await server.stop()
  driver.stop()
  return { rate, calm }
}

async function withFlood(
  stage: Stage,
  database: Database,
  rate: number,
  seconds: number,
  more: { env?: Record<string, string>; nodeArgs?: string[] },
): Promise<{ refreshes: Outcome; perSecond: number }> {
  const server = await stage.start(database, more)
  const driver = await stage.drive(await stage.chains(database, 10_000))
  const crowd = await stage.drive()
  await warm(driver, server)
  const emails = Array.from({ length: users }, (_, user) => emailOf(user))
  const signIns = crowd.run(server, { kind: 'login', emails, password }, { connections: 200, seconds: seconds + 2 })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const refreshes = await driver.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate })
  const logins = await signIns
  await server.stop()
  driver.stop()
  crowd.stop()
  return { refreshes, perSecond: logins.done / logins.seconds }
}
