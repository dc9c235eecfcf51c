import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { atOnce } from '../support/at-once.ts'
import { signUpOver } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'

const SECRET = randomBytes(32).toString('base64')
const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

let database: TestDatabase
let servers: [RunningProcess, RunningProcess]
const env = { CLAVIGER_SECRET: SECRET, ISSUER: 'http://localhost:3000' }

beforeAll(async () => {
  database = await cloneDatabase()
  // Together, on a database without a key: only one may make it.
  servers = await Promise.all([
    startServer({ databaseUrl: database.url, env }),
    startServer({ databaseUrl: database.url, env }),
  ])
})
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()))
  await database.drop()
})

const post = (server: RunningProcess, path: string, body: object, headers: Record<string, string> = {}) =>
  postJson(`${server.url}${path}`, body, headers)
const kids = async (server: RunningProcess): Promise<string[]> => {
  const { keys } = (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
  return keys.map((key) => key.kid).toSorted()
}

test('two servers that start together on an empty database share one signing key', async () => {
  const [first, second] = await Promise.all(servers.map(kids))
  expect(first).toHaveLength(1)
  expect(second).toEqual(first)
})

test.each([
  ['one Idempotency-Key', true],
  ['no key', false],
])('50 parallel refreshes of one token over both servers, %s: one successor', async (_name, keyed) => {
  const { tokens } = await signUpOver(servers[0].url, 1)
  const key = randomUUID()
  const body = { refresh_token: tokens[0]?.token }
  const headers: Record<string, string> = keyed ? { 'idempotency-key': key } : {}
  const answers = await atOnce(50, async (index) => {
    const server = servers[(index % 2) as 0 | 1]
    for (;;) {
      const answer = await post(server, '/refresh', body, headers)
      // A machine that is busy with other work tells the last in line to come back.
      if (answer.status !== 503) return answer
      await sleep(Number(answer.headers.get('retry-after')) * 1000)
    }
  })
  expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(200))
  const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as {
    refresh_token: string
    access_token: string
  }[]
  expect(new Set(bodies.map((body) => body.refresh_token)).size).toBe(1)
  expect(new Set(bodies.map((body) => body.access_token)).size).toBe(50)
  const next = await post(servers[1], '/refresh', { refresh_token: bodies[0]?.refresh_token })
  expect(next.status).toBe(200)
})

test('an access token of one server is good at the other, and a logout at one is seen by the other at once', async () => {
  const { tokens } = await signUpOver(servers[0].url, 1)
  const me = () => fetch(`${servers[1].url}/me`, { headers: { authorization: `Bearer ${tokens[0]?.accessToken}` } })
  expect((await me()).status).toBe(200)
  expect((await post(servers[0], '/logout', { refresh_token: tokens[0]?.token })).status).toBe(204)
  expect((await me()).status).toBe(401)
})

test('failed sign-ins at both servers count together: five reach the password, the sixth is put off at either', async () => {
  const { email, password } = await signUpOver(servers[0].url, 1)
  const attempts = []
  for (let i = 0; i < 5; i++)
    attempts.push((await post(servers[(i % 2) as 0 | 1], '/login', { email, password: 'not the right phrase' })).status)
  expect(attempts).toEqual([401, 401, 401, 401, 401])
  for (const server of servers) {
    const answer = await post(server, '/login', { email, password })
    expect(answer.status).toBe(429)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  }
})

test('of 50 wrong sign-ins at once over both servers, five reach the password', async () => {
  const { email } = await signUpOver(servers[0].url, 1)
  const answers = await atOnce(50, (index) =>
    post(servers[(index % 2) as 0 | 1], '/login', { email, password: 'not the right phrase' }),
  )
  const statuses = answers.map((answer) => answer.status)
  expect(statuses.filter((status) => status === 401)).toHaveLength(5)
  expect(statuses.filter((status) => status === 429)).toHaveLength(45)
})

test('keys rotate, asked for by two processes at once: one new key, adopted by both servers', async () => {
  const before = await kids(servers[0])
  const rotate = () =>
    run(process.execPath, [CLI, 'keys', 'rotate', '--json'], {
      env: { PATH: process.env.PATH, ...env, DATABASE_URL: database.url },
    })
  await Promise.all([rotate(), rotate()])
  await expect.poll(() => kids(servers[0]), { timeout: 10_000 }).toHaveLength(before.length + 1)
  await expect.poll(() => kids(servers[1]), { timeout: 10_000 }).toEqual(await kids(servers[0]))
})
