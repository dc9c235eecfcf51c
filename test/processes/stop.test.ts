import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { TEST_PASSWORD } from '../support/app.ts'
import { forFile } from '../support/for-file.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'

const database = forFile(await cloneDatabase())

describe('SIGTERM', () => {
  test('a client that heeds /readyz meets no error; what is under way finishes; the exit is clean', async () => {
    await using own = await cloneDatabase()
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
