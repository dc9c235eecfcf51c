import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { end, plainEnvironment, start } from '../children.ts'
import { type Connection, createConnection } from '../connection.ts'
import type { Following, Order, Sighting } from '../follower.ts'
import type { Line } from '../line.ts'
import { createTally, type Outcome } from '../load.ts'
import { refreshOnce, type Session } from '../refresh-once.ts'
import { post } from '../sources.ts'
import type { Stage } from '../stage.ts'
import { within } from '../within.ts'

const LOGOUTS = 200

/** From the moment at which a sign-out is answered until a verifier in another process refuses the session's token. */
export async function logoutLatency(stage: Stage): Promise<Line[]> {
  stage.say('logout, and who hears of it')
  const database = await stage.prepare({ users: 1000, families: 2 * LOGOUTS })
  const server = await stage.start(database)
  const chains = await stage.chains(database, 2 * LOGOUTS)
  const connection = createConnection(server.port)
  const { host } = new URL(stage.issuer)
  const follow = { issuer: stage.issuer, port: server.port, audience: 'bench' }
  try {
    const sessions: Session[] = []
    for (const token of chains) sessions.push(await refreshOnce(connection, host, token))
    const measure = async (some: Session[], withoutStream: boolean): Promise<Outcome> => {
      const follower = await startFollower({ ...follow, withoutStream })
      try {
        // An even pace, so that a view that is renewed every few seconds is met at all its ages.
        return await signOut(some, { connection, host, follower, pauseMs: (stage.options.seconds * 1000) / LOGOUTS })
      } finally {
        await follower.stop()
      }
    }
    const streamed = await measure(sessions.slice(0, LOGOUTS), false)
    const polled = await measure(sessions.slice(LOGOUTS), true)
    const { p50, p99, faults } = streamed
    const what = 'logout answered → refused by another process'
    return [
      { what: `${what}, by stream: p50`, p50, p99, figure: p50, unit: 'ms', target: { atMost: 100 }, faults },
      { what: `${what}, by stream: p99`, figure: p99, unit: 'ms', target: { atMost: 1000 }, faults },
      {
        what: `${what}, by list: p99`,
        p50: polled.p50,
        p99: polled.p99,
        figure: polled.p99,
        unit: 'ms',
        target: { atMost: 10_000 },
        faults: polled.faults,
      },
    ]
  } finally {
    connection.close()
  }
}

interface Leaving {
  connection: Connection
  host: string
  follower: Follower
  pauseMs: number
}

async function signOut(sessions: Session[], { connection, host, follower, pauseMs }: Leaving): Promise<Outcome> {
  const tally = createTally()
  const startedAt = performance.now()
  const heard: Promise<void>[] = []
  for (const [index, { accessToken, refreshToken }] of sessions.entries()) {
    const { accepted, refused } = follower.watch(String(index), accessToken)
    await within(60, 'the follower’s first verification of a token', accepted)
    const { status } = await connection.send(post(host, '/logout', JSON.stringify({ refresh_token: refreshToken })))
    const answeredAt = process.hrtime.bigint()
    if (status === 204) {
      const note = (at: bigint): void => tally.add(Number(at > answeredAt ? at - answeredAt : 0n) / 1e6, undefined)
      heard.push(refused.then(note))
    } else tally.add(0, String(status))
    await sleep(pauseMs)
  }
  await within(60, 'the refusal of the last tokens', Promise.all(heard))
  return tally.outcome((performance.now() - startedAt) / 1000)
}

interface Follower {
  /** `refused`: when, by the clock that the processes share. */
  watch(name: string, token: string): { accepted: Promise<void>; refused: Promise<bigint> }
  stop(): Promise<void>
}

async function startFollower(following: Following): Promise<Follower> {
  const child = start([join(import.meta.dirname, '../follower.ts')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: plainEnvironment(),
  })
  const tell = (order: Order): void => void child.send(order)
  const ready = Promise.withResolvers<void>()
  const accepted = new Map<string, () => void>()
  const refused = new Map<string, (at: bigint) => void>()
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  child.on('message', (sighting: Sighting) => {
    if ('ready' in sighting) ready.resolve()
    else if ('accepted' in sighting) accepted.get(sighting.accepted)?.()
    else if ('refused' in sighting) refused.get(sighting.refused)?.(BigInt(sighting.refusedAt))
    else failed.reject(new Error(sighting.error))
  })
  child.once('exit', () => failed.reject(new Error('the follower ended')))
  tell(following)
  await within(60, 'a follower that is ready', Promise.race([ready.promise, failed.promise]))
  return {
    watch: (name, token) => {
      const seen = new Promise<void>((resolve) => accepted.set(name, resolve))
      const gone = new Promise<bigint>((resolve) => refused.set(name, resolve))
      tell({ watch: name, token })
      return { accepted: Promise.race([seen, failed.promise]), refused: Promise.race([gone, failed.promise]) }
    },
    stop: () => end(child),
  }
}
