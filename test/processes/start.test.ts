import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { testEnvironment } from '../support/app.ts'
import { signUpOver } from '../support/honest-client.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { spawnServer, startServer } from '../support/server.ts'

/** What npm start runs. */
const START = join(import.meta.dirname, '../../dev/start.ts')

test('a start while the database is read-only waits, says why, and goes on when it is not any more', async () => {
  const database = await cloneDatabase()
  const admin = new pg.Client({ connectionString: database.ownerUrl })
  await admin.connect()
  const alter = (change: string) => admin.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} ${change}`)
  try {
    await alter('SET default_transaction_read_only = on')
    let output = () => ''
    const starting = startServer({ databaseUrl: database.url, timeoutMs: 30_000, onOutput: (read) => (output = read) })
    await expect.poll(() => output(), { timeout: 20_000 }).toContain('the database takes no writes yet')
    expect(output(), 'it must not listen yet').not.toContain('listening')
    await alter('RESET default_transaction_read_only')
    await using server = await starting
    await signUpOver(server.url, 1)
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  } finally {
    await admin.end()
    await database.drop()
  }
})

describe('npm start', () => {
  const openDatabase = async () => {
    const { url, drop } = await cloneDatabase()
    return { url, [Symbol.asyncDispose]: drop }
  }
  const inDevelopment = (env: Record<string, string>) =>
    spawnServer({ ...testEnvironment('postgres://nobody@127.0.0.1:1/nowhere'), PORT: '0', ...env }, START)

  test.each(['PORT', 'METRICS_PORT'])('names the setting of the port that is in use: %s', async (setting) => {
    await using database = await openDatabase()
    await using taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const { output, exited } = inDevelopment({ DATABASE_URL: database.url, METRICS_PORT: '0', [setting]: `${port}` })
    expect(await exited).toBe(1)
    expect(
      output()
        .split('\n')
        .filter((line) => line.startsWith('claviger: ')),
    ).toEqual([`claviger: port ${port} is in use: choose another one with ${setting}`])
  })

  test('says what is wrong with the database in the first line, and each time without a stack', async () => {
    const { child, output, exited } = inDevelopment({ METRICS_PORT: '0' })
    const lines = () =>
      output()
        .split('\n')
        .filter((line) => line.includes('does not answer yet'))
    await expect.poll(() => lines().length, { timeout: 10_000 }).toBeGreaterThan(1)
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject({ database: '127.0.0.1:1/nowhere', reason: 'ECONNREFUSED' })
    expect(output()).not.toContain('    at ')
  })

  test.each([
    ['a password that is wrong', (url: URL) => (url.password = 'wrong'), 'password authentication failed'],
    ['a database that is not there', (url: URL) => (url.pathname = '/nowhere'), '"nowhere" does not exist'],
  ])('tells %s in one line', async (_case, change, message) => {
    await using database = await openDatabase()
    const url = new URL(database.url)
    change(url)
    const { output, exited } = inDevelopment({ DATABASE_URL: url.href, METRICS_PORT: '0' })
    expect(await exited).toBe(1)
    const told = output().split('\n').slice(-2)
    expect(told).toEqual([
      expect.stringMatching(`^claviger: the database at ${url.host}${url.pathname} cannot be reached: .*${message}`),
      '',
    ])
  })
})
