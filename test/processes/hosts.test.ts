import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { startAbyss } from '../support/abyss.ts'
import { createHonestClient, firstSuccess, met, progress, signUpOver, storm } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { freePort, type RunningProcess, startServer } from '../support/server.ts'
import { type Pair, startPair } from '../support/standby.ts'

/*
 * Failover as DATABASE_URL names it: primary and standby are where they were, nothing is moved in front of them, and the
 * servers find out by themselves which of them takes writes.
 */

const CLIENTS = 6

type Role = 'primary' | 'standby'

/** Two servers on one database, in a storm of refreshes and sign-ins until the disaster is over. */
async function inStorm(
  databaseUrl: string,
  disaster: (watch: {
    servers: RunningProcess[]
    /** Every client has refreshed so often more. */
    progress(times: number): Promise<void>
    /** Somebody was told 503. */
    felt(): Promise<void>
    firstSuccess(): Promise<number>
  }) => Promise<void>,
): Promise<void> {
  const env = { CLAVIGER_SECRET: randomBytes(32).toString('base64'), ISSUER: 'http://localhost:3000' }
  const servers = await Promise.all([1, 2].map(() => startServer({ databaseUrl, env, timeoutMs: 60_000 })))
  const either = () => servers[Math.random() < 0.5 ? 0 : 1]?.url ?? ''
  try {
    const { email, password, tokens } = await vi.waitFor(() => signUpOver(either(), CLIENTS), {
      timeout: 60_000,
      interval: 500,
    })
    const clients = tokens.map((each) => createHonestClient({ ...each, server: either }))
    const login = () => postJson(`${either()}/login`, { email, password, client_id: 'native' })
    const logins: number[] = []
    const over = disaster({
      servers,
      progress: (times) => progress(clients, times),
      felt: async () => {
        const before = met(clients, 503)
        while (met(clients, 503) === before) await sleep(5)
      },
      firstSuccess: () => firstSuccess(clients),
    })
    let ended = false
    const end = () => {
      ended = true
    }
    over.then(end, end)
    const signIns = async () => {
      while (!ended) {
        logins.push((await login()).status)
        await sleep(200)
      }
    }
    // An honest client throws where it is answered 401.
    await Promise.all([storm(clients, over), signIns(), over])

    expect(
      logins.filter((status) => status !== 200 && status !== 503),
      'a right password is right, or nobody knows',
    ).toEqual([])
    expect(met(clients, 0), 'the servers themselves must have answered throughout').toBe(0)
    for (const { url } of servers) {
      await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 60_000 }).toBe(200)
    }
    await expect.poll(async () => (await login()).status, { timeout: 60_000 }).toBe(200)
  } finally {
    await Promise.all(servers.map((server) => server.kill()))
  }
}

const endedOn = async (pair: Pair): Promise<number> =>
  (await pair.onStandby('SELECT FROM families WHERE ended_at IS NOT NULL')).length

const synchronously = async (pair: Pair) => {
  await pair.onPrimary(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`)
  await pair.onPrimary('SELECT pg_reload_conf()')
}

test.each<{ order: [Role, Role] }>([{ order: ['primary', 'standby'] }, { order: ['standby', 'primary'] }])(
  'the primary is killed and the standby promoted, DATABASE_URL names $order: nobody is signed out',
  async ({ order }) => {
    await using pair = await startPair()
    await inStorm(pair.over(...order), async (watch) => {
      await synchronously(pair)
      await watch.progress(3)
      await pair.killPrimary()
      await watch.felt()
      await pair.promoteStandby()
      await watch.firstSuccess()
      await watch.progress(3)
      expect(watch.servers.map((server) => server.output())).toEqual(
        Array(2).fill(expect.stringContaining('another host of the database takes the connections now')),
      )
    })
    expect(await endedOn(pair)).toBe(0)
  },
  120_000,
)

test('a switchover: the primary is stopped, both are standbys for a while, and one of them is promoted', async () => {
  await using pair = await startPair()
  await inStorm(pair.over('primary', 'standby'), async (watch) => {
    await watch.progress(3)
    await pair.stopPrimary()
    await watch.felt()
    await pair.demotePrimary()
    await watch.felt()
    for (const { url } of watch.servers) {
      const answer = await fetch(`${url}/readyz`)
      expect(answer.status).toBe(503)
    }
    await pair.promoteStandby()
    await watch.firstSuccess()
    await watch.progress(3)
  })
  expect(await endedOn(pair)).toBe(0)
}, 120_000)

test('a server that starts among standbys waits until one is promoted', async () => {
  await using pair = await startPair()
  await pair.stopPrimary()
  await pair.demotePrimary()
  let output = () => ''
  const starting = startServer({
    databaseUrl: pair.over('primary', 'standby'),
    timeoutMs: 60_000,
    onOutput: (written) => {
      output = written
    },
  })
  await expect.poll(() => output(), { timeout: 60_000 }).toContain('the database takes no writes yet')
  expect(output()).toMatch(/"reason":"127\.0\.0\.1:\d+: is a standby; 127\.0\.0\.1:\d+: is a standby"/)
  await pair.promoteStandby()
  await using server = await starting
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
}, 120_000)

test('hosts that refuse, swallow what they are sent or have a name that does not resolve are passed over, before the failover and after it', async () => {
  await using pair = await startPair()
  await using abyss = await startAbyss()
  const away = [`127.0.0.1:${await freePort()}`, abyss.place, 'nowhere.invalid:5432']
  await inStorm(pair.over(...away, 'primary', 'standby'), async (watch) => {
    await watch.progress(3)
    await pair.killPrimary()
    await watch.felt()
    await pair.promoteStandby()
    await watch.firstSuccess()
    await watch.progress(3)
  })
}, 120_000)
