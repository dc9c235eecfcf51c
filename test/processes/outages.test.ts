import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Cluster, startCluster, urlOf } from '../../dev/postgres/cluster.ts'
import { createHonestClient, met, signUpOver, storm } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { freePort, startServer } from '../support/server.ts'

const CLIENTS = 12

async function watch(url: string, statuses: Set<number>, until: Promise<unknown>): Promise<void> {
  let over = false
  const end = () => {
    over = true
  }
  until.then(end, end)
  while (!over) {
    statuses.add((await fetch(url)).status)
    await sleep(40)
  }
}

test('SIGKILL of the server in a storm of refreshes ends no honest client', async () => {
  const database = await cloneDatabase()
  const port = String(await freePort())
  const env = { PORT: port, ISSUER: 'http://localhost:3000', CLAVIGER_SECRET: randomBytes(32).toString('base64') }
  let server = await startServer({ databaseUrl: database.url, env })
  try {
    const { tokens } = await signUpOver(server.url, CLIENTS)
    const clients = tokens.map((each) => createHonestClient({ ...each, server: () => `http://127.0.0.1:${port}` }))
    const disaster = (async () => {
      for (let i = 0; i < 4; i++) {
        await sleep(400 + 300 * Math.random())
        await server.kill()
        server = await startServer({ databaseUrl: database.url, env })
      }
      await sleep(300)
    })()
    await Promise.all([storm(clients, disaster), disaster])
    for (const client of clients) await client.refresh()
    expect(met(clients, 0), 'the kills must have been felt').toBeGreaterThan(0)
    expect(Math.min(...clients.map((client) => client.refreshes))).toBeGreaterThan(4)
  } finally {
    await server.kill()
    await database.drop()
  }
}, 120_000)

test('while PostgreSQL is stopped: 503 and never 401, the key set is served, and afterwards all goes on by itself', async () => {
  const home = await mkdtemp(join(tmpdir(), 'claviger-outage-'))
  const options = {
    home,
    version: process.env.TEST_POSTGRES === '15' ? ('15' as const) : ('18' as const),
    ephemeral: false,
    password: randomBytes(16).toString('hex'),
  }
  let cluster: Cluster = await startCluster(options)
  const { port } = cluster
  const databaseUrl = urlOf(port, options.password)
  const server = await startServer({ databaseUrl })
  try {
    const { tokens } = await signUpOver(server.url, CLIENTS)
    const clients = tokens.map((each) => createHonestClient({ ...each, server: () => server.url, patienceMs: 60_000 }))
    const during: Record<string, number[]> = {}
    const disaster = (async () => {
      for (let i = 0; i < 2; i++) {
        await sleep(400)
        await cluster.stop()
        for (const path of ['/.well-known/jwks.json', '/livez', '/readyz']) {
          const answer = await fetch(`${server.url}${path}`)
          during[path] = [...(during[path] ?? []), answer.status]
        }
        const [some] = clients
        const me = await fetch(`${server.url}/me`, { headers: { authorization: `Bearer ${some?.accessToken}` } })
        const login = await postJson(`${server.url}/login`, { email: 'a@example.com', password: 'whatever it is' })
        during.bearer = [...(during.bearer ?? []), me.status]
        during.login = [...(during.login ?? []), login.status]
        await sleep(300)
        cluster = await startCluster({ ...options, port })
        await sleep(600)
      }
    })()
    const jwks = new Set<number>()
    const watched = watch(`${server.url}/.well-known/jwks.json`, jwks, disaster)
    await Promise.all([storm(clients, disaster), disaster, watched])
    for (const client of clients) await client.refresh()
    expect(during).toEqual({
      '/.well-known/jwks.json': [200, 200],
      '/livez': [200, 200],
      '/readyz': [503, 503],
      bearer: [503, 503],
      login: [503, 503],
    })
    expect(jwks).toEqual(new Set([200]))
    expect(met(clients, 503), 'the outage must have been felt').toBeGreaterThan(0)
    expect(met(clients, 0), 'the server itself must have answered throughout').toBe(0)
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  } finally {
    await server.stop()
    await cluster.stop()
    await rm(home, { recursive: true, force: true })
  }
}, 120_000)
