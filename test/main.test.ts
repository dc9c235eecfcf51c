import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connect as connectDatabase } from '../src/db/connect.ts'
import { testEnvironment } from './support/app.ts'
import { forFile } from './support/for-file.ts'
import { signUpOver } from './support/honest-client.ts'
import { cloneDatabase } from './support/postgres.ts'
import { freePort, spawnServer, startServer } from './support/server.ts'

const database = forFile(await cloneDatabase())

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

  test('a mail template with a fault is one, and no database to wait for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mail-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'reset-password.txt'), 'Subject: Reset')
    const { output, exited } = spawnServer({
      ...testEnvironment('postgres://u:p@127.0.0.1:1/d'),
      MAIL_TEMPLATES: folder,
    })
    expect(await exited).toBe(78)
    expect(output()).toContain('MAIL_TEMPLATES: reset-password.txt: replaces no template')
  })

  test('a secret that does not fit the database ends it as well, naming the setting', async () => {
    await using own = await cloneDatabase()
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
  await using own = await cloneDatabase()
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
