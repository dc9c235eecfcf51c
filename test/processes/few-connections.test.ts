import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { atOnce } from '../support/at-once.ts'
import { createHonestClient, signUpOver, storm } from '../support/honest-client.ts'
import { cloneDatabase, createRole } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'

test('a database that grants the server three connections instead of ten serves everybody, one after the other', async () => {
  const database = await cloneDatabase()
  const role = await createRole(
    database,
    'GRANT ALL ON ALL TABLES IN SCHEMA public TO $role',
    'ALTER ROLE $role CONNECTION LIMIT 3',
  )
  try {
    await using server = await startServer({ databaseUrl: role.url })
    const users = await atOnce(12, () => signUpOver(server.url, 1, { strict: true }))
    const clients = users.flatMap(({ tokens }) =>
      tokens.map((each) => createHonestClient({ ...each, server: () => server.url })),
    )
    await storm(clients, sleep(1000), { pauseMs: 0 })
    await atOnce(12, () => signUpOver(server.url, 1, { strict: true }))
    expect(clients.map(({ troubles }) => [...troubles])).toEqual(clients.map(() => []))
  } finally {
    await database.drop()
  }
}, 120_000)
