import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createHonestClient, firstSuccess, met, progress, signUpOver, storm } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { startServer } from '../support/server.ts'
import { type Pair, startPair } from '../support/standby.ts'
import { findPgBouncer, type PgBouncer, startPgBouncer } from './pgbouncer.ts'

const { program, usable } = await findPgBouncer()
const CLIENTS = 8

/** Two servers on the databases of `url` in a storm of refreshes, during which the operator does this. */
async function inStorm(
  url: string,
  pair: Pair,
  operator: (clients: ReturnType<typeof createHonestClient>[]) => Promise<void>,
): Promise<ReturnType<typeof createHonestClient>[]> {
  const env = { CLAVIGER_SECRET: randomBytes(32).toString('base64'), ISSUER: 'http://localhost:3000' }
  const servers = await Promise.all([1, 2].map(() => startServer({ databaseUrl: url, env, timeoutMs: 60_000 })))
  const either = () => servers[Math.random() < 0.5 ? 0 : 1]?.url ?? ''
  try {
    const { email, password, tokens } = await signUpOver(either(), CLIENTS)
    const clients = tokens.map((each) => createHonestClient({ ...each, server: either }))
    await pair.onPrimary(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`)
    await pair.onPrimary('SELECT pg_reload_conf()')
    const disaster = (async () => {
      await progress(clients, 3)
      await operator(clients)
      await firstSuccess(clients)
      await progress(clients, 3)
    })()
    // An honest client throws where it is answered 401.
    await Promise.all([storm(clients, disaster), disaster])
    expect(met(clients, 0), 'the servers themselves must have answered throughout').toBe(0)
    for (const server of servers) {
      await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 10_000 }).toBe(200)
      const login = await postJson(`${server.url}/login`, { email, password, client_id: 'native' })
      expect(login.status).toBe(200)
    }
    expect(await pair.onStandby('SELECT FROM families WHERE ended_at IS NOT NULL')).toEqual([])
    return clients
  } finally {
    await Promise.all(servers.map((server) => server.kill()))
  }
}

const felt = async (clients: ReturnType<typeof createHonestClient>[]) => {
  const before = met(clients, 503)
  while (met(clients, 503) === before) await sleep(5)
}

describe.skipIf(!usable)('a failover behind PgBouncer in transaction mode', () => {
  test('a switchover between PAUSE and RESUME: everybody waits, nobody is signed out', async () => {
    await using pair = await startPair()
    await using pooler = await startPooler(pair, 'primary')
    await inStorm(pooler.url, pair, async () => {
      await pooler.order('PAUSE')
      await pair.stopPrimary()
      await pair.promoteStandby()
      await pooler.lead(pair.standbyPort)
      await pooler.order('RESUME')
    })
  }, 120_000)

  test('the primary is killed, and PgBouncer led to the promoted standby', async () => {
    await using pair = await startPair()
    await using pooler = await startPooler(pair, 'primary')
    const clients = await inStorm(pooler.url, pair, async (clients) => {
      await pair.killPrimary()
      await felt(clients)
      await pair.promoteStandby()
      await pooler.lead(pair.standbyPort)
    })
    expect(met(clients, 503)).toBeGreaterThan(0)
  }, 120_000)

  test('a PgBouncer before each PostgreSQL, both in DATABASE_URL: nobody leads anything', async () => {
    await using pair = await startPair()
    await using first = await startPooler(pair, 'primary')
    await using second = await startPooler(pair, 'standby')
    const url = pair.over(`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`)
    const clients = await inStorm(url, pair, async (clients) => {
      await pair.killPrimary()
      await felt(clients)
      await pair.promoteStandby()
    })
    expect(met(clients, 503)).toBeGreaterThan(0)
  }, 120_000)
})

async function startPooler(pair: Pair, before: 'primary' | 'standby'): Promise<PgBouncer & AsyncDisposable> {
  const pooler = await startPgBouncer(program, pair.over(before))
  return Object.assign(pooler, { [Symbol.asyncDispose]: pooler.close })
}
