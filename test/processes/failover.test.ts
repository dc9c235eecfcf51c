import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createHonestClient, firstSuccess, met, progress, signUpOver, storm } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { startServer } from '../support/server.ts'
import { type Pair, startPair } from '../support/standby.ts'

const CLIENTS = 6

const rolledForward = async (pair: Pair): Promise<number> =>
  (await pair.onStandby(`SELECT FROM audit WHERE type = 'refresh.rolled_forward'`)).length

test.each([
  { replication: 'synchronous', end: 'killed' },
  { replication: 'asynchronous and behind', end: 'killed' },
  { replication: 'asynchronous and behind', end: 'without power' },
])(
  'failover in a storm of refreshes, replication $replication, the primary $end',
  async ({ replication, end }) => {
    await using pair = await startPair()
    const env = { CLAVIGER_SECRET: randomBytes(32).toString('base64'), ISSUER: 'http://localhost:3000' }
    const servers = await Promise.all([1, 2].map(() => startServer({ databaseUrl: pair.url, env })))
    const either = () => servers[Math.random() < 0.5 ? 0 : 1]?.url ?? ''
    try {
      const { email, password, tokens } = await signUpOver(either(), 2 * CLIENTS)
      const clients = tokens.map((each, index) =>
        createHonestClient({ ...each, server: either, keyless: index % 2 === 1 }),
      )
      const synchronous = replication === 'synchronous'
      if (synchronous) {
        await pair.onPrimary(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`)
        await pair.onPrimary('SELECT pg_reload_conf()')
      }

      let patience = 0
      const disaster = (async () => {
        await progress(clients, 3)
        // What is committed from now on is lost, and every client holds tokens of it.
        if (!synchronous) pair.replication.pause('toClient')
        await progress(clients, 2)
        if (end === 'without power') pair.line.freeze()
        await pair.killPrimary()
        await pair.takeOver()
        patience = await firstSuccess(clients)
        await progress(clients, 2)
      })()
      // An honest client throws where it is answered 401.
      await Promise.all([storm(clients, disaster), disaster])

      expect(patience, 'from the promotion to the first answer').toBeLessThan(5000)
      expect(met(clients, 503), 'the failover must have been felt').toBeGreaterThan(0)
      expect(met(clients, 0), 'the servers themselves must have answered throughout').toBe(0)
      if (synchronous) expect(await rolledForward(pair)).toBe(0)
      else expect(await rolledForward(pair)).toBeGreaterThan(0)
      for (const { url } of servers) {
        await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 5000 }).toBe(200)
        const login = await postJson(`${url}/login`, { email, password, client_id: 'native' })
        expect(login.status).toBe(200)
      }
      expect(await pair.onStandby(`SELECT id FROM families WHERE ended_at IS NOT NULL`)).toEqual([])
    } finally {
      await Promise.all(servers.map((server) => server.kill()))
    }
  },
  180_000,
)
