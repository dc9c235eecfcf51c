import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, inject, test } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { atOnce } from '../support/at-once.ts'
import { createHonestClient, met, signUpOver, storm } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, query } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'
import { findPgBouncer, POOL_SIZE, startPgBouncer } from './pgbouncer.ts'

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const { program, usable } = await findPgBouncer()

const ADVISORY_LOCKS = `SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
  WHERE locktype = 'advisory' AND d.datname = current_database()`

const env = () => ({ CLAVIGER_SECRET: randomBytes(32).toString('base64'), ISSUER: 'http://localhost:3000' })

const refresh = (url: string, token: string | undefined) =>
  postJson(`${url}/refresh`, { refresh_token: token }, { 'idempotency-key': randomUUID() })
const kids = async ({ url }: RunningProcess): Promise<string[]> => {
  const { keys } = (await (await fetch(`${url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
  return keys.map((key) => key.kid).toSorted()
}

describe.skipIf(!usable)('behind PgBouncer in transaction mode', () => {
  test('two servers, sign-ups, storms, a new signing key, and SIGKILL of PgBouncer: no honest client is ended', async () => {
    const database = await cloneDatabase()
    const pooler = await startPgBouncer(program, database.url)
    const settings = env()
    const servers = await Promise.all([
      startServer({ databaseUrl: pooler.url, env: settings }),
      startServer({ databaseUrl: pooler.url, env: settings }),
    ])
    try {
      const signedUp = await Promise.all(servers.map(({ url }) => signUpOver(url, 8)))
      const either = () => (Math.random() < 0.5 ? servers[0] : servers[1]).url
      const clients = signedUp.flatMap(({ tokens }) =>
        tokens.map((each) => createHonestClient({ ...each, server: either })),
      )
      let connections = 0
      const disaster = (async () => {
        await sleep(500)
        const [row] = await query<{ count: number }>(
          database.url,
          `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
        )
        connections = row?.count ?? 0
        await promisify(execFile)(process.execPath, [CLI, 'keys', 'rotate', '--json'], {
          env: { PATH: process.env.PATH, ...settings, DATABASE_URL: pooler.url },
        })
        for (let i = 0; i < 3; i++) {
          await sleep(300 + 300 * Math.random())
          await pooler.kill()
          await sleep(200)
          await pooler.restart()
        }
        await sleep(500)
        // People sign in during it, too.
        await signUpOver(servers[0].url, 2)
      })()
      await Promise.all([storm(clients, disaster), disaster])
      for (const client of clients) await client.refresh()
      expect(met(clients, 503), 'the kills must have been felt').toBeGreaterThan(0)
      expect(met(clients, 0), 'the servers themselves must have answered throughout').toBe(0)
      expect(Math.min(...clients.map((client) => client.refreshes))).toBeGreaterThan(4)
      expect(connections, 'connections are shared').toBeGreaterThan(0)
      expect(connections).toBeLessThanOrEqual(POOL_SIZE)
      await expect.poll(() => kids(servers[0]), { timeout: 10_000 }).toHaveLength(2)
      await expect.poll(() => kids(servers[1]), { timeout: 10_000 }).toEqual(await kids(servers[0]))

      const answers = await atOnce(50, (index) => refresh(servers[(index % 2) as 0 | 1].url, clients[0]?.token))
      expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(200))
      const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as { refresh_token: string }[]
      expect(new Set(bodies.map((body) => body.refresh_token)).size, 'one successor').toBe(1)
    } finally {
      await Promise.all(servers.map((server) => server.kill()))
      await pooler.close()
      await database.drop()
    }
  }, 120_000)

  test('PAUSE and RESUME around a restart of the database: a short one is not noticed, a long one is 503 and then over', async () => {
    const database = await cloneDatabase()
    const pooler = await startPgBouncer(program, database.url)
    const server = await startServer({ databaseUrl: pooler.url, env: env() })
    try {
      const { tokens } = await signUpOver(server.url, 8)
      const clients = tokens.map((each) => createHonestClient({ ...each, server: () => server.url }))
      const pause = async (milliseconds: number) => {
        await sleep(300)
        await pooler.order('PAUSE')
        await sleep(milliseconds)
        await pooler.order('RESUME')
        await sleep(300)
      }
      const short = pause(1000)
      await Promise.all([storm(clients, short), short])
      expect(clients.map((client) => client.troubles.size)).toEqual(Array(8).fill(0))
      const long = pause(5000)
      await Promise.all([storm(clients, long), long])
      for (const client of clients) await client.refresh()
      expect(met(clients, 503), 'the long one must have been felt').toBeGreaterThan(0)
      expect(met(clients, 0)).toBe(0)
    } finally {
      await server.kill()
      await pooler.close()
      await database.drop()
    }
  }, 60_000)

  // Each round is a chance for servers to come in each other's way; one alone may go well without a lock.
  test.each([1, 2, 3, 4, 5])('migrations through it are done once and leave no lock behind, round %i', async () => {
    const server = inject('databaseUrl')
    const name = `${inject('databasePrefix')}_pooled_${randomBytes(4).toString('hex')}`
    await query(server, `CREATE DATABASE ${name}`)
    const direct = new URL(server)
    direct.pathname = `/${name}`
    const pooler = await startPgBouncer(program, direct.href)
    try {
      const applied = await atOnce(POOL_SIZE, () => migrate(pooler.url))
      expect(applied.filter((names) => names.length > 0)).toHaveLength(1)
      expect(await query(direct.href, ADVISORY_LOCKS)).toEqual([])
    } finally {
      await pooler.close()
      await query(server, `DROP DATABASE ${name} WITH (FORCE)`)
    }
  })

  test('timeouts that a pooled connection does not bring along are those of the role', async () => {
    const database = await cloneDatabase()
    const pooler = await startPgBouncer(program, database.url)
    const show = async () =>
      (await query<{ statement_timeout: string }>(pooler.url, 'SHOW statement_timeout'))[0]?.statement_timeout
    try {
      expect(await show()).toBe('0')
      const name = new URL(database.url).pathname.slice(1)
      await query(database.url, `ALTER ROLE CURRENT_USER IN DATABASE ${name} SET statement_timeout = '5s'`)
      await pooler.kill()
      await pooler.restart()
      expect(await show()).toBe('5s')
    } finally {
      await pooler.close()
      await database.drop()
    }
  })

  test('how the database writes times, intervals and strings for other programs does not matter', async () => {
    const database = await cloneDatabase()
    const name = new URL(database.url).pathname.slice(1)
    for (const hostile of ['DateStyle = German', 'IntervalStyle = sql_standard', `TimeZone = 'Asia/Kolkata'`])
      await query(database.ownerUrl, `ALTER DATABASE ${name} SET ${hostile}`)
    const pooler = await startPgBouncer(program, database.url)
    const settings = env()
    const server = await startServer({ databaseUrl: pooler.url, env: settings })
    try {
      // As many at once as there are connections to PostgreSQL: each was opened for somebody who had stated nothing yet.
      const signedUp = await atOnce(POOL_SIZE, () => signUpOver(server.url, 3))
      const clients = signedUp.flatMap(({ tokens }) =>
        tokens.map((each) => createHonestClient({ ...each, server: () => server.url })),
      )
      await storm(clients, sleep(1000), { pauseMs: 0 })
      expect(clients.map(({ troubles }) => troubles.size)).toEqual(clients.map(() => 0))
      const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'sessions', 'list', '--json'], {
        env: { PATH: process.env.PATH, ...settings, DATABASE_URL: pooler.url },
      })
      const [session] = (JSON.parse(stdout) as { sessions: { created_at: string }[] }).sessions
      expect(Math.abs(Date.parse(session?.created_at ?? '') - Date.now())).toBeLessThan(60_000)
    } finally {
      await server.kill()
      await pooler.close()
      await query(database.ownerUrl, `ALTER DATABASE ${name} RESET ALL`)
      await database.drop()
    }
  })

  test('without support for prepared statements it does not work, and says so: why the setting is needed', async () => {
    const database = await cloneDatabase()
    const pooler = await startPgBouncer(program, database.url, { max_prepared_statements: '0' })
    const server = await startServer({ databaseUrl: pooler.url, env: env() })
    try {
      const answers = await atOnce(20, () => signInOfNobody(server.url))
      expect(answers).toContain(500)
      expect(server.output()).toMatch(/prepared statement .* (already exists|does not exist)/)
    } finally {
      await server.kill()
      await pooler.close()
      await database.drop()
    }
  })
})

/** Asks the database by a statement with parameters. */
async function signInOfNobody(url: string): Promise<number> {
  const answer = await postJson(`${url}/login`, {
    email: `${randomUUID()}@example.com`,
    password: 'whatever it is',
    client_id: 'native',
  })
  return answer.status
}
