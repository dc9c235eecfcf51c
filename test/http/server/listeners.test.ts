import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { forFile } from '../../support/for-file.ts'
import { cloneDatabase } from '../../support/postgres.ts'
import { startServer } from '../../support/server.ts'

const database = forFile(await cloneDatabase())

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
    await using own = await cloneDatabase()
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
  })
})
