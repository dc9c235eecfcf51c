import { fork } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startCluster, urlOf } from '../../dev/postgres/cluster.ts'
import { run } from '../cli/support.ts'
import { testEnvironment } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { type Forwarder, startForwarder } from '../support/forwarder.ts'
import { signUpOver } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { query } from '../support/postgres.ts'
import { freePort, startServer } from '../support/server.ts'
import type { Judged } from './verifier-process.ts'

/** For how long things go wrong: CHAOS_SECONDS=60 for a minute. */
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 10)
const ISSUER = 'http://localhost:3000'
const VERIFIERS = 3
const STAYING = 6
const LEAVING = Math.min(120, 3 * SECONDS)
const MAX_STALENESS = 5
/** By how much the clocks of this machine may differ, as the verifiers are told. */
const TOLERANCE = 1

const between = (least: number, most: number) => sleep(least + Math.random() * (most - least))
const oneOf = <T>(all: readonly T[]): T => all[randomInt(all.length)] as T

/** A database that can be killed and comes back. */
async function startDatabase() {
  const home = await mkdtemp(join(tmpdir(), 'claviger-chaos-'))
  const version = process.env.TEST_POSTGRES === '15' ? ('15' as const) : ('18' as const)
  const options = { home, version, ephemeral: false, password: randomBytes(16).toString('hex') }
  let cluster = await startCluster(options)
  const { port } = cluster
  const url = urlOf(port, options.password)
  return {
    port,
    url,
    killAndRestart: async () => {
      const [row] = await query(url, `SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid`)
      process.kill(Number(row?.pid), 'SIGKILL')
      await between(50, 800)
      cluster = await startCluster({ ...options, port })
    },
    [Symbol.asyncDispose]: async () => {
      await cluster.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** As service managers do: a server whose database breaks while it starts ends, and is started again. */
async function supervised<T>(start: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await start()
    } catch {
      await sleep(100)
    }
  }
}

/** A server that can be killed and comes back at the same address. */
async function startIssuer(databaseUrl: string, env: Record<string, string>) {
  const port = await freePort()
  const start = () => startServer({ databaseUrl, env: { ...env, PORT: String(port) }, timeoutMs: 60_000 })
  let server = await start()
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    killAndRestart: async () => {
      await server.kill()
      await between(0, 500)
      server = await supervised(start)
    },
    [Symbol.asyncDispose]: async () => await server.kill(),
  }
}

/** A service in a process of its own, with its line to the issuer. */
async function startVerifier(env: Record<string, string>, port: number) {
  const line = await startForwarder(port)
  const { PATH = '' } = process.env
  const child = fork(join(import.meta.dirname, 'verifier-process.ts'), {
    env: { PATH, REACHED_AT: `http://127.0.0.1:${line.port}`, ...env },
  })
  return {
    line,
    watch: (tokens: string[]) => void child.send({ watch: tokens }),
    judged: async (): Promise<Judged[]> => {
      const answer = once(child, 'message')
      child.send({})
      return ((await answer) as [Judged[]])[0]
    },
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      await line.close()
    },
  }
}

/** What befalls one line, and is over when it resolves. */
async function disturb(line: Forwarder, ports: number[]): Promise<void> {
  const what = randomInt(5)
  if (what === 0) line.cut()
  if (what === 1) line.freeze()
  if (what === 2) {
    // Answers arrive late, and all at once.
    line.pause(oneOf(['toClient', 'toServer'] as const))
    await between(500, 6500)
    line.resume()
  }
  if (what === 3) {
    line.lead(undefined)
    line.cut()
    await between(200, 3000)
  }
  line.lead(oneOf(ports))
}

/** Nothing arrives for longer than a view may be old. */
async function holdBack(line: Forwarder): Promise<void> {
  line.pause('toClient')
  await sleep((MAX_STALENESS + TOLERANCE + 1) * 1000)
  line.resume()
}

/** Signs out, however often the server has to be asked. @returns when it had been confirmed. */
async function signOut(url: () => string, token: string): Promise<number> {
  for (;;) {
    const answer = await postJson(`${url()}/logout`, { refresh_token: token }).catch(() => undefined)
    if (answer?.status === 204) return Date.now()
    await sleep(50)
  }
}

test(
  'issuers, database and lines fail at random: no service misses a sign-out, or goes by a view that is too old',
  async () => {
    await using database = await startDatabase()
    await using databaseLine = await startForwarder(database.port)
    const env = {
      SESSIONS_PER_USER: `${STAYING + LEAVING}`,
      ISSUER,
      CLAVIGER_SECRET: randomBytes(32).toString('base64'),
      ACCESS_TOKEN_SECONDS: '1200',
    }
    const issuerUrl = databaseLine.through(database.url)
    await using first = await startIssuer(issuerUrl, env)
    await using second = await startIssuer(issuerUrl, env)
    const issuers = [first, second]
    const ports = issuers.map(({ port }) => port)

    const added = await run(['clients', 'add', 'orders', '--type', 'service', '--json'], {
      env: { ...testEnvironment(database.url), ...env },
    })
    const { client_id, client_secret } = JSON.parse(added.out) as Record<'client_id' | 'client_secret', string>
    noteSecret(client_secret)
    await using fleet = new AsyncDisposableStack()
    const settings = { ISSUER, MAX_STALENESS: `${MAX_STALENESS}s`, CLIENT_ID: client_id, CLIENT_SECRET: client_secret }
    const verifiers = await Promise.all(
      Array.from({ length: VERIFIERS }, async (_, index) => {
        return fleet.use(await startVerifier(settings, ports[index % ports.length] ?? 0))
      }),
    )
    const { tokens } = await signUpOver(first.url, STAYING + LEAVING)
    const [staying, leaving] = [tokens.slice(0, STAYING), tokens.slice(STAYING)]
    for (const verifier of verifiers) verifier.watch([...staying, ...leaving].map(({ accessToken }) => accessToken))
    const outcomes = async () => (await Promise.all(verifiers.map((verifier) => verifier.judged()))).flat()
    const lasts = async () => new Set((await outcomes()).map(({ last }) => last))
    await expect.poll(lasts, { timeout: 15_000 }).toEqual(new Set(['accepted']))

    let over = false
    const meanwhile = async (misfortune: () => Promise<void>, pause: number) => {
      while (!over) {
        await misfortune()
        await between(pause / 2, pause)
      }
    }
    const misfortunes = [
      meanwhile(() => oneOf([first, second, database]).killAndRestart(), 3000),
      meanwhile(async () => {
        databaseLine.pause('toClient')
        await between(100, 1500)
        databaseLine.resume()
        if (randomInt(2) === 0) databaseLine.cut()
      }, 4000),
      ...verifiers.map(async ({ line }, index) => {
        if (index === 0) await holdBack(line)
        await meanwhile(() => disturb(line, ports), 3000)
      }),
    ]
    const end = sleep(SECONDS * 1000).then(() => (over = true))
    const gone = new Map<number, number>()
    const leave = async () => {
      for (const [index, { token }] of leaving.entries()) {
        gone.set(index, await signOut(() => oneOf(issuers).url, token))
        await between(0, (2000 * SECONDS) / LEAVING)
      }
    }
    await Promise.all([end, ...misfortunes, leave()])

    // No sign-out was missed, and who stayed may stay.
    const settled = async () =>
      (await Promise.all(verifiers.map((each) => each.judged()))).map((judged) => judged.map(({ last }) => last))
    const expected = [...staying.map(() => 'accepted'), ...leaving.map(() => 'revoked')]
    await expect.poll(settled, { timeout: 30_000, interval: 200 }).toEqual(verifiers.map(() => expected))

    for (const verifier of verifiers) {
      const judged = await verifier.judged()
      const left = judged.slice(STAYING).map(({ acceptedAt, risen }, index) => ({
        risen,
        acceptedFor: ((acceptedAt ?? 0) - (gone.get(index) ?? 0)) / 1000,
      }))
      expect(left.filter(({ risen }) => risen)).toEqual([])
      expect(left.filter(({ acceptedFor }) => acceptedFor > MAX_STALENESS + TOLERANCE)).toEqual([])
    }
    const all = await outcomes()
    const kinds = new Set(all.flatMap(({ times }) => Object.keys(times)))
    expect(kinds, 'the chaos must have been felt').toContain('stale')
    expect([...kinds].toSorted()).toEqual(['accepted', 'revoked', 'stale'])
    const staid = (await Promise.all(verifiers.map((each) => each.judged()))).flatMap((judged) =>
      judged.slice(0, STAYING),
    )
    expect(staid.flatMap(({ times }) => Object.keys(times))).not.toContain('revoked')
  },
  SECONDS * 1000 + 120_000,
)
