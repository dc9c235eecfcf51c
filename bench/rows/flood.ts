import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { emailOf, password } from '../seed.ts'
import type { Server } from '../server.ts'
import { type Driver, type Stage, warm } from '../stage.ts'

const users = 5000
const cores = availableParallelism()
const here = ['--import', join(import.meta.dirname, '../bare/hash-here.ts')]

/** Ways to hash. The first is the default one. */
const ARRANGEMENTS = {
  default: {},
  /** A hash per core in the server's own process. */
  wide: {
    env: { HASH_QUEUE: '10000', UV_THREADPOOL_SIZE: String(3 * cores + 2) },
    nodeArgs: here,
  },
  /** Unbounded there. Four threads are what Node gives a program that does nothing about it; signatures queue behind the hashes. */
  unbounded: {
    env: { HASH_CONCURRENCY: '256', HASH_QUEUE: '10000', UV_THREADPOOL_SIZE: '4' },
    nodeArgs: here,
  },
}

/** In turns: what the machine's neighbours do in one round is then neither in the middle nor in one arrangement alone. */
const ROUNDS = 3

/** Refreshes at an even pace without the flood and, right after it, in it. */
interface Round {
  calm: Outcome
  refreshes: Outcome
  signIns: Outcome
}

/** Whether two hundred people who sign in at once delay those who are signed in already. */
export async function flood(stage: Stage): Promise<Line[]> {
  const database = await stage.prepare({ users, families: 10_000 })
  const load = { users: await stage.drive(await stage.chains(database, 10_000)), crowd: await stage.drive() }
  const started: [name: keyof typeof ARRANGEMENTS, server: Server][] = []
  let rate: number | undefined
  for (const [name, options] of Object.entries(ARRANGEMENTS)) {
    stage.say(`flood: warming up, ${name}`)
    const server = await stage.start(database, options)
    const most = await warm(load.users, server)
    await load.crowd.run(server, signingIn, { connections: 8, seconds: 1 })
    // A fifth of what the server can do: there must be room for the sign-ins, whose core the refreshes do not have.
    rate ??= Math.round((most.done / most.seconds) * 0.2)
    started.push([name as keyof typeof ARRANGEMENTS, server])
  }

  const rounds: Record<keyof typeof ARRANGEMENTS, Round[]> = { default: [], wide: [], unbounded: [] }
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [name, server] of started) {
      stage.say(`flood: 200 sign-ins at a time, ${name}, round ${round} of ${ROUNDS}`)
      rounds[name].push(await measure(server, load, rate ?? 0, stage.options.seconds / ROUNDS))
    }
  }
  return report(rounds, rate ?? 0)
}

const signingIn = {
  kind: 'login',
  emails: Array.from({ length: users }, (_, user) => emailOf(user)),
  password,
} as const

async function measure(
  server: Server,
  load: { users: Driver; crowd: Driver },
  rate: number,
  seconds: number,
): Promise<Round> {
  const refresh = () => load.users.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate })
  const calm = await refresh()
  const flooding = load.crowd.run(server, signingIn, { connections: 200, seconds: seconds + 2 })
  await sleep(1500)
  const refreshes = await refresh()
  return { calm, refreshes, signIns: await flooding }
}

function report(rounds: Record<keyof typeof ARRANGEMENTS, Round[]>, rate: number): Line[] {
  const usual = middle(rounds.default)
  const wide = middle(rounds.wide)
  const unbounded = middle(rounds.unbounded)
  const perSecond = signInsPerSecond(rounds.default)
  const ofWide = signInsPerSecond(rounds.wide)
  const ofUnbounded = signInsPerSecond(rounds.unbounded)
  const best = Math.max(perSecond, ofWide, ofUnbounded)
  const latencies = ({ refreshes: { p50, p99, p999 } }: Round) => ({ perSecond: rate, p50, p99, p999 })
  const without = ({ calm }: Round) => `p99 ${calm.p99.toFixed(1)} ms`
  return [
    {
      what: 'refresh under a login flood: p99 ÷ p99 without',
      ...latencies(usual),
      against: without(usual),
      figure: ratio(usual),
      unit: '×',
      target: { atMost: 3 },
      faults: sumFaults(...rounds.default.flatMap(({ calm, refreshes }) => [calm, refreshes])),
    },
    {
      what: 'logins completed in it ÷ best arrangement',
      perSecond,
      against: `${best.toFixed(1)}/s (the same process ${ofWide.toFixed(1)}, unbounded ${ofUnbounded.toFixed(1)})`,
      figure: perSecond / best,
      target: { atLeast: 0.9 },
    },
    {
      what: 'control: hashes unbounded, p99 ÷ the default’s',
      ...latencies(unbounded),
      against: `p99 ${usual.refreshes.p99.toFixed(1)} ms`,
      figure: unbounded.refreshes.p99 / usual.refreshes.p99,
      unit: '×',
      target: { atLeast: 10 },
    },
    {
      what: 'a hash per core in the same process: p99 ÷ p99 without flood',
      ...latencies(wide),
      against: without(wide),
      figure: ratio(wide),
      unit: '×',
    },
  ]
}

const ratio = ({ calm, refreshes }: Round): number => refreshes.p99 / calm.p99

/** The round whose ratio is in the middle. */
function middle(rounds: Round[]): Round {
  return rounds.toSorted((a, b) => ratio(a) - ratio(b))[Math.floor(ROUNDS / 2)] as Round
}

function signInsPerSecond(rounds: Round[]): number {
  const sum = (read: (outcome: Outcome) => number): number =>
    rounds.reduce((total, { signIns }) => total + read(signIns), 0)
  return sum(({ done }) => done) / sum(({ seconds }) => seconds)
}
