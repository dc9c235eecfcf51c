import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isAlive } from '../../bench/processes.ts'
import { childrenOf } from '../support/child-processes.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'

const account = { email: 'ada@example.com', password: 'correct horse battery staple' }

const hashChild = (server: number): number | undefined => childrenOf(server, 'hash-child.ts')[0]

async function start() {
  const database = await cloneDatabase()
  const env = { REGISTRATION: 'open', ARGON2_PASSES: '16', ARGON2_MEMORY_KIB: '65536' }
  const server = await startServer({ databaseUrl: database.url, env })
  const post = async (path: string) => {
    const { client_id, ...body } = { ...account, client_id: 'native' }
    const response = await postJson(`${server.url}${path}`, path === '/login' ? { ...body, client_id } : body)
    return { status: response.status, retryAfter: response.headers.get('retry-after') }
  }
  const pid = server.process.pid as number
  /** Once a password is being hashed. @returns the process that does it. */
  const hashing = async (): Promise<number> => {
    for (;;) {
      const metrics = await (await fetch(`${server.metricsUrl}/metrics`)).text()
      const child = /^claviger_password_hashes_pending 1$/m.test(metrics) ? hashChild(pid) : undefined
      if (child !== undefined) return child
      await sleep(5)
    }
  }
  return { database, server, pid, post, hashing }
}

test('a sign-in whose hash is lost is answered 503, does not count as a failure, and the next one succeeds', {
  timeout: 90_000,
}, async () => {
  const { database, server, pid, post, hashing } = await start()
  try {
    expect(hashChild(pid), 'nobody has signed in yet').toBeUndefined()
    expect(await post('/register')).toMatchObject({ status: 201 })
    // More often than the back-off allows failures.
    for (let turn = 0; turn < 6; turn++) {
      const answer = post('/login')
      process.kill(await hashing(), 'SIGKILL')
      expect(await answer).toEqual({ status: 503, retryAfter: '1' })
    }
    expect(await post('/login')).toMatchObject({ status: 200 })
    expect(server.output()).toContain('the process that hashes passwords ended')
  } finally {
    await server.stop()
    await database.drop()
  }
})

test('it ends with the server: at a stop after the hashes under way, and when the server is killed', {
  timeout: 90_000,
}, async () => {
  for (const end of ['stop', 'kill'] as const) {
    const { database, server, post, hashing } = await start()
    try {
      expect(await post('/register')).toMatchObject({ status: 201 })
      const answer = post('/login').catch(() => undefined)
      const child = await hashing()
      await server[end]()
      expect((await answer)?.status).toBe(end === 'stop' ? 200 : undefined)
      for (let turn = 0; isAlive(child) && turn < 3000; turn++) await sleep(10)
      expect(isAlive(child)).toBe(false)
    } finally {
      await server.kill()
      await database.drop()
    }
  }
})
