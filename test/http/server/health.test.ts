import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { createTestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'

test('a server with a database, its schema and a key is alive and ready', async () => {
  await using t = await createTestApp()
  const live = await t.inject({ url: '/livez' })
  expect([live.statusCode, live.json()]).toEqual([200, { status: 'ok' }])
  const ready = await t.inject({ url: '/readyz' })
  expect([ready.statusCode, ready.json()]).toEqual([200, { status: 'ok' }])
  expect((await t.inject({ method: 'HEAD', url: '/readyz' })).statusCode).toBe(200)
})

test('a server that is stopping is alive but not ready, and ends its connections', async () => {
  await using t = await createTestApp()
  t.lifecycle.stopping = true
  const ready = await t.inject({ url: '/readyz' })
  expect([ready.statusCode, ready.json()]).toEqual([503, { status: 'unavailable' }])
  expect(ready.headers['retry-after']).toBe('1')
  expect(ready.headers.connection).toBe('close')
  expect((await t.inject({ url: '/livez' })).statusCode).toBe(200)
})

test('one of several processes that leaves is as ready as its server, and ends its connections', async () => {
  await using t = await createTestApp({ env: { LOG_LEVEL: 'info' } })
  t.lifecycle.leaving = true
  for (const url of ['/readyz', '/.well-known/jwks.json']) {
    const answer = await t.inject({ url })
    expect([answer.statusCode, answer.headers.connection]).toEqual([200, 'close'])
  }
})

test('a database without the newest migration is not ready until it has it', async () => {
  await using t = await createTestApp()
  const { rows } = await sql<{ name: string }>`DELETE FROM claviger_migrations RETURNING name`.execute(t.db)
  expect((await t.inject({ url: '/readyz' })).statusCode).toBe(503)
  for (const { name } of rows) {
    await sql`INSERT INTO claviger_migrations (name, applied_at) VALUES (${name}, now())`.execute(t.db)
  }
  expect((await t.inject({ url: '/readyz' })).statusCode).toBe(200)
})

test('a database that does not answer makes it unready within a second and a bit, and says nothing of the cause', async () => {
  await using t = await createTestApp({ env: { DATABASE_POOL_SIZE: '2' } })
  expect((await t.inject({ url: '/readyz' })).statusCode).toBe(200)
  // One of the two is for refreshes and the other one busy, so the probe gets none: to it, the database does not answer.
  const busy = sql`SELECT pg_sleep(2.5)`.execute(t.deps.db)
  const started = performance.now()
  const answers = await atOnce(20, () => t.inject({ url: '/readyz' }))
  expect(performance.now() - started).toBeLessThan(1500)
  for (const answer of answers) expect([answer.statusCode, answer.json()]).toEqual([503, { status: 'unavailable' }])
  expect((await t.inject({ url: '/livez' })).statusCode).toBe(200)
  await busy
  expect((await t.inject({ url: '/readyz' })).statusCode).toBe(200)
})
