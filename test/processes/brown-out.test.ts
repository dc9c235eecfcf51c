import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, test } from 'vitest'
import { type Forwarder, startForwarder } from '../support/forwarder.ts'
import { createHonestClient, firstSuccess, met, progress, signUpOver, storm } from '../support/honest-client.ts'
import { cloneDatabase, query } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'

// A database that is there and does not do its work, for a while that is shorter than the grace of clients without keys.

const CLIENTS = 5
const LASTS_MS = 3000

interface Trouble {
  what: string
  begin(line: Forwarder, alter: (change: string) => Promise<void>): Promise<void> | void
  end(line: Forwarder, alter: (change: string) => Promise<void>): Promise<void> | void
  /** So that nothing can be done meanwhile. */
  outage: boolean
}

const TROUBLES: Trouble[] = [
  {
    what: 'answers everything half a second late',
    begin: (line) => line.delay({ toClient: 500 }),
    end: (line) => line.delay({}),
    outage: false,
  },
  {
    what: 'does everything, and its answers come too late',
    begin: (line) => line.delay({ toClient: 3500 }),
    end: (line) => line.delay({}),
    outage: true,
  },
  {
    what: 'stalls, then does all that was asked of it meanwhile',
    begin: (line) => line.pause(),
    end: (line) => line.resume(),
    outage: true,
  },
  {
    what: 'is read-only for whoever connects',
    begin: async (line, alter) => {
      await alter('SET default_transaction_read_only = on')
      line.cut()
    },
    end: (_line, alter) => alter('RESET default_transaction_read_only'),
    outage: true,
  },
  {
    what: 'lets nobody connect',
    begin: async (line, alter) => {
      await alter('ALLOW_CONNECTIONS false')
      line.cut()
    },
    end: (_line, alter) => alter('ALLOW_CONNECTIONS true'),
    outage: true,
  },
]

test.each(TROUBLES)(
  'a database that $what ends no session, and all goes on by itself',
  async (trouble) => {
    const database = await cloneDatabase()
    const { pathname, port } = new URL(database.url)
    const alter = async (change: string) =>
      void (await query(inject('databaseUrl'), `ALTER DATABASE ${pathname.slice(1)} ${change}`))
    const line = await startForwarder(Number(port))
    const env = { CLAVIGER_SECRET: randomBytes(32).toString('base64'), ISSUER: 'http://localhost:3000' }
    const url = line.through(database.url)
    const servers = await Promise.all([1, 2].map(() => startServer({ databaseUrl: url, env })))
    const either = () => servers[Math.random() < 0.5 ? 0 : 1]?.url ?? ''
    const readiness = () => Promise.all(servers.map(async (server) => (await fetch(`${server.url}/readyz`)).status))
    try {
      const { tokens } = await signUpOver(either(), 2 * CLIENTS)
      const clients = tokens.map((each, index) =>
        createHonestClient({ ...each, server: either, keyless: index % 2 === 1 }),
      )
      let [during, patience] = [[0], 0]
      const disaster = (async () => {
        await progress(clients, 2)
        await trouble.begin(line, alter)
        await sleep(LASTS_MS)
        during = await readiness()
        await trouble.end(line, alter)
        patience = await firstSuccess(clients)
        await progress(clients, 2)
      })()
      // An honest client throws where it is answered 401.
      await Promise.all([storm(clients, disaster), disaster])

      expect(patience, 'from the end of the trouble to the first answer').toBeLessThan(5000)
      await expect.poll(readiness, { timeout: 5000 }).toEqual([200, 200])
      expect(met(clients, 0), 'the servers themselves must have answered throughout').toBe(0)
      if (trouble.outage) {
        expect(during).toEqual([503, 503])
        expect(met(clients, 503), 'the trouble must have been felt').toBeGreaterThan(0)
      }
      expect(await query(database.url, 'SELECT end_cause FROM families WHERE ended_at IS NOT NULL')).toEqual([])
    } finally {
      await Promise.all(servers.map((server) => server.kill()))
      await line.close()
      await alter('ALLOW_CONNECTIONS true')
      await alter('RESET ALL')
      await database.drop()
    }
  },
  180_000,
)
