import pg from 'pg'
import { expect, test } from 'vitest'
import { signUpOver } from '../support/honest-client.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'

test('a start while the database is read-only waits, says why, and goes on when it is not any more', async () => {
  const database = await cloneDatabase()
  const admin = new pg.Client({ connectionString: database.ownerUrl })
  await admin.connect()
  const alter = (change: string) => admin.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} ${change}`)
  try {
    await alter('SET default_transaction_read_only = on')
    const starting = startServer({ databaseUrl: database.url, timeoutMs: 30_000 })
    const early = await Promise.race([starting, new Promise((resolve) => setTimeout(resolve, 3000))])
    expect(early, 'it must not listen yet').toBeUndefined()
    await alter('RESET default_transaction_read_only')
    await using server = await starting
    expect(server.output()).toContain('the database takes no writes yet')
    await signUpOver(server.url, 1)
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  } finally {
    await admin.end()
    await database.drop()
  }
})
