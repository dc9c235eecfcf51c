import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect as connectDatabase } from '../../src/db/connect.ts'
import { TEST_PASSWORD, testEnvironment } from '../support/app.ts'
import { signUpOver } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { freePort, spawnServer, startServer } from '../support/server.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await cloneDatabase()
})
afterAll(() => database.drop())

describe('a configuration with faults', () => {
  test('ends the process with status 78, names every fault and quotes no value', async () => {
    const { output, exited } = spawnServer({
      NODE_ENV: 'production',
      ISSUER: 'http://auth.example.com/?marker-issuer',
      PORT: 'marker-port',
      CLAVIGER_SECRET: 'marker-secret',
      DATABASE_URL: 'marker-url',
    })
    expect(await exited).toBe(78)
    for (const name of ['ISSUER', 'PORT', 'CLAVIGER_SECRET', 'DATABASE_URL']) expect(output()).toContain(`${name}: `)
    expect(output()).not.toContain('marker')
  })

  test('a certificate file that is missing is one, and no database to wait for', async () => {
    const url = 'postgres://u:p@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=/marker/ca.pem'
    const { output, exited } = spawnServer(testEnvironment(url))
    expect(await exited).toBe(78)
    expect(output()).toContain('DATABASE_URL: names a file in sslrootcert that cannot be read (ENOENT)')
    expect(output()).not.toMatch(/marker|does not answer/)
  })

  test('a name of the database that leads out of private networks is one as well, in production', async () => {
    const { output, exited } = spawnServer({
      // 192.0.2.1 as one number: a name that resolves on every machine.
      ...testEnvironment('postgres://u:p@3221225985:1/d'),
      NODE_ENV: 'production',
      ISSUER: 'https://auth.example.com',
    })
    expect(await exited).toBe(78)
    expect(output()).toContain('DATABASE_URL: needs sslmode=verify-full')
  })

  test('a secret that does not fit the database ends it as well, naming the setting', async () => {
    const own = await cloneDatabase()
    const first = await startServer({ databaseUrl: own.url })
    expect(await first.stop()).toBe(0)
    const { output, exited } = spawnServer({
      ...testEnvironment(own.url),
      CLAVIGER_SECRET: randomBytes(32).toString('base64'),
      PORT: '0',
      METRICS_PORT: '0',
      ISSUER: 'http://localhost:3000',
    })
    expect(await exited).not.toBe(0)
    expect(output()).toContain('CLAVIGER_SECRET')
    await own.drop()
  })
})

test('the database may come up after the server', async () => {
  const port = await freePort()
  const { child, output, exited } = spawnServer({
    ...testEnvironment(`postgres://nobody@127.0.0.1:${port}/nowhere`),
    PORT: '0',
    METRICS_PORT: '0',
  })
  await expect.poll(output, { timeout: 5000 }).toContain('the database does not answer yet')
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test('refusals that came again are counted in the trail a second later, and at the latest when the server ends', async () => {
  const own = await cloneDatabase()
  const { db } = connectDatabase({ url: own.url, size: 1 })
  await using server = await startServer({ databaseUrl: own.url })
  const { tokens } = await signUpOver(server.url, 1)
  const wrongDelivery = () =>
    fetch(`${server.url}/logout`, {
      method: 'POST',
      headers: {
        cookie: `__Host-refresh_token=${tokens[0]?.token}`,
        origin: server.url.replace('127.0.0.1', 'localhost'),
        host: new URL(server.url).host.replace('127.0.0.1', 'localhost'),
      },
    })
  const counted = async () => {
    const rows = await db.selectFrom('audit').select('details').where('type', '=', 'refresh.refused').execute()
    return rows.reduce((sum, { details }) => sum + Number(details.count), 0)
  }
  for (let i = 0; i < 10; i++) expect((await wrongDelivery()).status).toBe(204)
  await expect.poll(counted, { timeout: 5000 }).toBe(10)
  for (let i = 0; i < 10; i++) await wrongDelivery()
  expect(await server.stop()).toBe(0)
  expect(await counted()).toBe(20)
  await db.destroy()
  await own.drop()
})

test('a database that wants a password which nobody gives is not waited for', async () => {
  const url = new URL(database.url)
  url.password = ''
  const { output, exited } = spawnServer({ ...testEnvironment(url.href), PORT: '0', METRICS_PORT: '0' })
  expect(await exited).toBe(1)
  expect(output()).toContain('DATABASE_URL has no password, and neither PGPASSWORD nor .pgpass gives one')
  expect(output()).not.toContain('does not answer yet')
})

test('a name of the database that does not resolve yet is waited for, in production', async () => {
  const { child, output, exited } = spawnServer({
    ...testEnvironment('postgres://u:p@pg-rw.database.invalid/d'),
    NODE_ENV: 'production',
    ISSUER: 'https://auth.example.com',
    PORT: '0',
    METRICS_PORT: '0',
  })
  await expect.poll(output, { timeout: 20_000 }).toMatch(/ENOTFOUND|EAI_AGAIN/)
  expect(output()).toContain('the database does not answer yet')
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test('metrics are on their own listener and nowhere else', async () => {
  await using server = await startServer({ databaseUrl: database.url })
  await fetch(`${server.url}/livez`)
  const metrics = await fetch(`${server.metricsUrl}/metrics`)
  const text = await metrics.text()
  expect([metrics.status, metrics.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/plain')])
  for (const name of [
    'claviger_http_request_seconds_bucket{le="0.001",route="/livez",status="200"}',
    'claviger_db_connections ',
    'claviger_clock_offset_seconds',
    'claviger_active_key_age_seconds',
    'claviger_password_hashes_pending',
    'process_cpu_seconds_total',
  ]) {
    expect(text).toContain(name)
  }
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404)
  expect((await fetch(`${server.metricsUrl}/livez`)).status).toBe(404)
  expect((await fetch(`${server.metricsUrl}/metrics`, { method: 'POST' })).status).toBe(405)
})

test('idle connections are kept for as long as the setting says, and that is stated', async () => {
  await using server = await startServer({ databaseUrl: database.url, env: { KEEP_ALIVE_SECONDS: '1' } })
  const { port } = new URL(server.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  expect(chunk.toString()).toMatch(/\r\nkeep-alive: timeout=1\r\n/i)
  const begun = performance.now()
  socket.resume()
  await once(socket, 'close')
  expect(performance.now() - begun).toBeGreaterThan(900)
})

describe('senders that are too slow are cut off within 20 seconds', () => {
  test.concurrent.each([
    ['headers', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: '],
    [
      'a body',
      'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"email":"',
    ],
  ])('%s', { timeout: 40_000 }, async (_, start) => {
    const own = await cloneDatabase()
    await using server = await startServer({ databaseUrl: own.url })
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', () => {})
    await once(socket, 'connect')
    const begun = performance.now()
    socket.write(start)
    const drip = setInterval(() => socket.write('a'), 1000)
    await once(socket, 'close')
    clearInterval(drip)
    expect(performance.now() - begun).toBeLessThan(20_000)
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toContain('request_timeout')
    await server.kill()
    await own.drop()
  })
})

describe('SIGTERM', () => {
  test('a client that heeds /readyz meets no error; what is under way finishes; the exit is clean', async () => {
    const own = await cloneDatabase()
    // Long enough for the slowest sign-up, after which its client looks at /readyz again.
    const env = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com', SHUTDOWN_DELAY_SECONDS: '8' }
    await using server = await startServer({ databaseUrl: own.url, env })
    const seen: (number | string)[] = []
    // Each signs up in a loop, which takes a while because of the hash, until the server says that it is leaving.
    const client = async (name: number) => {
      for (let turn = 0; ; turn++) {
        const ready = await fetch(`${server.url}/readyz`)
        if (ready.status === 503) return
        const account = { email: `u${name}-${turn}@example.com`, password: TEST_PASSWORD }
        const answer = await postJson(`${server.url}/register`, account)
        seen.push(answer.status)
        await answer.text()
      }
    }
    const clients = Array.from({ length: 8 }, (_, name) => client(name))
    await expect.poll(() => seen.length, { timeout: 15_000 }).toBeGreaterThan(8)
    const before = seen.length
    const code = server.stop()
    await Promise.all(clients)
    expect(await code).toBe(0)
    expect(seen.length).toBeGreaterThan(before)
    expect(seen.filter((status) => status !== 201)).toEqual([])
    expect(server.output()).toContain('"msg":"stopped"')
    await own.drop()
  })

  test('leaves the door open for as long as it is told to', async () => {
    const env = { SHUTDOWN_DELAY_SECONDS: '2' }
    await using server = await startServer({ databaseUrl: database.url, env })
    const begun = performance.now()
    const code = server.stop()
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status).toBe(503)
    await sleep(1000)
    const answer = await fetch(`${server.url}/livez`)
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close'])
    expect(await code).toBe(0)
    expect(performance.now() - begun).toBeGreaterThan(2000)
  })

  test('a connection that is kept alive and idle does not hold it up', async () => {
    await using server = await startServer({ databaseUrl: database.url })
    await (await fetch(`${server.url}/livez`)).text()
    const idle = connect(Number(new URL(server.url).port), '127.0.0.1')
    await once(idle, 'connect')
    idle.on('error', () => {})
    const begun = performance.now()
    expect(await server.stop()).toBe(0)
    expect(performance.now() - begun).toBeLessThan(3000)
    idle.destroy()
  })
})
