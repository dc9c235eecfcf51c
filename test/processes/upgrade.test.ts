import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { TEST_PASSWORD } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { createProofKey } from '../support/dpop.ts'
import { forFile } from '../support/for-file.ts'
import { MIGRATIONS } from '../support/migrations.ts'
import { postJson } from '../support/post-json.ts'
import { createDatabase, createRole, query, type TestDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'
import { startSmtpServer } from '../support/smtp.ts'

// An installation from before accounts had mail, known devices and imported hashes, on the present version.

const OLDER = MIGRATIONS.filter((name) => name < '0004')
const LATER = MIGRATIONS.filter((name) => name >= '0004')
/** The issuer of the version that filled the tables: sessions are granted its audience. */
const ISSUER = 'http://localhost:3000'
const NEXT = 'seven brisk herons glide'

/** Of everybody who had a session, the refresh token that they hold. */
const HELD = {
  ada: 'rt1_ZJpqk1x5PZSbrUEMcIBJF2kAAAABdEQsnXjgkJoU1uVjpRlCV3RwEPZ6-nWzxiaq2-2bcTckaEOZJKR1wY1Rfo7zc6Ic',
  bob: 'rt1_ZKehA0ERMniekapnnrFEFRkAAAAB3OdFREJOBoHfuWUDHlTTUBEFNg8Ggh1PW6qH1nM2NX12tXb_cuIXHPrP3wss5jNs',
  dan: 'rt1_ZACbGJ82h5NkF6bfRIhnoSAAAAAAmtkPOfqHSh2hWMvkIZtkDjnjqXD_EYHKvROrwEp04peo6KsE25NQ63SNKOB-LzEq',
  eve: 'rt1_ZAMSCPGSrGZLF4dRov0zlU0AAAAA24jxf5zJTBb6dTQ2Ssr8qF5K9Vxj2hVeoTIMygivhOb5_LukkD3F1ppS5rkVNb5t',
}
/** Of another session of Ada's: the token that a thief has copied, and the one that she holds since. */
const STOLEN = 'rt1_ZBlaHEqxWpU9h9HLLebgZRoAAAAAiD_vaQioN1xP0mcXEc4T12IDyABAkRIjZDdJqxARXCCFImlSsUqPf_BPaYE-cVzB'
const SINCE = 'rt1_ZBlaHEqxWpU9h9HLLebgZRoAAAACB8CzyumqN1nSry-Kauq_Xl-xDAPxM1JsMklfZfoyosBGvQtwuaP1ggTO56Kyu2vB'

async function createOlder(): Promise<TestDatabase> {
  const database = await createDatabase()
  const files = [...OLDER.map((name) => `../../migrations/${name}.sql`), 'before-accounts.sql']
  for (const file of files) await query(database.ownerUrl, await readFile(new URL(file, import.meta.url), 'utf8'))
  // What the version of then granted the role that serves.
  const role = await createRole(
    database,
    'GRANT USAGE ON SCHEMA public TO $role',
    'GRANT SELECT, INSERT, UPDATE, DELETE ON users, families, login_failures, rate_limits TO $role',
    'GRANT SELECT, INSERT, UPDATE ON signing_keys TO $role',
    'GRANT SELECT, INSERT ON audit TO $role',
    'GRANT SELECT ON claviger_migrations TO $role',
    'GRANT EXECUTE ON FUNCTION audit_count_again(uuid, integer), audit_delete_old(timestamptz, integer) TO $role',
  )
  return { ...database, url: role.url }
}

const database = forFile(await createOlder())
const before = await describeTables()
const applied = await migrate(database.ownerUrl)
const smtp = forFile(await startSmtpServer())
const server = forFile(
  await startServer({
    databaseUrl: database.url,
    env: { ISSUER, SMTP_URL: `smtp://localhost:${smtp.port}`, MAIL_FROM: 'no-reply@example.com' },
  }),
)

const addressOf = (name: string) => `${name}@example.com`
const signIn = (name: string, password = TEST_PASSWORD) =>
  postJson(`${server.url}/login`, { email: addressOf(name), password, client_id: 'native' })
const refresh = (token: string) => postJson(`${server.url}/refresh`, { refresh_token: token })

test('the role that served serves on, with the keys that there were', async () => {
  expect(applied).toEqual(LATER)
  const keys = await query<{ kid: string }>(database.ownerUrl, 'SELECT kid FROM signing_keys ORDER BY kid')
  const { keys: published } = (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as typeof KEY_SET
  expect(published.map(({ kid }) => kid).toSorted()).toEqual(keys.map(({ kid }) => kid))
})
const KEY_SET = { keys: [{ kid: '' }] }

describe('where addresses have to be verified', () => {
  test('whoever registers from then on verifies theirs first', async () => {
    const registered = await postJson(`${server.url}/register`, { email: addressOf('new'), password: TEST_PASSWORD })
    const refused = await signIn('new')
    expect([registered.status, refused.status, await refused.json()]).toEqual([
      202,
      403,
      expect.objectContaining({ code: 'email_unverified' }),
    ])
  })

  test.each(['ada', 'bob'])('%s, who was there before, signs in without, and is told nothing', async (name) => {
    const signedIn = await signIn(name)
    expect([signedIn.status, await signedIn.json()]).toEqual([
      200,
      expect.objectContaining({ user: expect.objectContaining({ email: addressOf(name), email_verified: false }) }),
    ])
    expect(await query(database.ownerUrl, 'SELECT FROM notices')).toEqual([])
  })
})

describe('sessions', () => {
  test.each(['ada', 'dan', 'eve'] as const)('%s stays signed in, whatever became of the password', async (name) => {
    const first = await refresh(HELD[name])
    expect(first.status).toBe(200)
    const { refresh_token } = (await first.json()) as { refresh_token: string }
    expect((await refresh(refresh_token)).status).toBe(200)
  })

  test('bob stays signed in by the cookie, with roles and claims', async () => {
    const headers = { cookie: `__Host-refresh_token=${HELD.bob}`, origin: ISSUER }
    const answer = await fetch(`${server.url}/refresh`, { method: 'POST', headers })
    const reply = (await answer.json()) as { access_token: string; user: object }
    expect([answer.status, reply.user]).toEqual([200, expect.objectContaining({ roles: ['editor'] })])
    const claims = Buffer.from(reply.access_token.split('.')[1] ?? '', 'base64url').toString()
    expect(JSON.parse(claims)).toMatchObject({ roles: ['editor'], team: 'blue' })
  })

  test('of before are not bound to a key, whatever they prove; who signs in with a proof now is', async () => {
    const key = createProofKey()
    const proof = (path: string) => ({ dpop: key.proof({ method: 'POST', url: ISSUER + path }) })
    const body = { email: addressOf('ada'), password: TEST_PASSWORD, client_id: 'native' }
    const [old] = await query<{ dpop_jkt: null }>(database.ownerUrl, 'SELECT DISTINCT dpop_jkt FROM families')
    expect(old).toEqual({ dpop_jkt: null })
    const { refresh_token: token } = (await (await signIn('ada')).json()) as { refresh_token: string }
    const unbound = await postJson(`${server.url}/refresh`, { refresh_token: token }, proof('/refresh'))
    expect([unbound.status, await unbound.json()]).toEqual([200, expect.objectContaining({ token_type: 'Bearer' })])
    const bound = await postJson(`${server.url}/login`, body, proof('/login'))
    const reply = (await bound.json()) as { token_type: string; refresh_token: string }
    expect([bound.status, reply.token_type]).toEqual([200, 'DPoP'])
    expect((await refresh(reply.refresh_token)).status).toBe(400)
    // As a replica of the version before rotates it, which knows of no key.
    const rotated = await query(
      database.ownerUrl,
      `UPDATE families SET generation = generation + 1, rotated_at = now() WHERE dpop_jkt = '${key.jkt}' RETURNING generation`,
    )
    expect(rotated).toEqual([{ generation: 1 }])
  })

  test('a token that was replaced before is known for stolen, and ends its session', async () => {
    expect((await refresh(STOLEN)).status).toBe(401)
    expect((await refresh(SINCE)).status).toBe(401)
  })
})

describe('who could not sign in before', () => {
  test('because of failures of late, still waits, and no longer than that', async () => {
    const refused = await signIn('eve')
    expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([429, expect.any(Number)])
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(480)
    // The server's idea of the database's time may be some milliseconds behind.
    await query(
      database.ownerUrl,
      "UPDATE login_failures SET blocked_until = now() - interval '1 s' WHERE failures = 9",
    )
    expect((await signIn('eve')).status).toBe(200)
  })

  test('because a hundred failures disabled the password, can set another by mail', async () => {
    expect((await signIn('dan')).status).toBe(401)
    expect((await postJson(`${server.url}/password/forgot`, { email: addressOf('dan') })).status).toBe(202)
    const mailOf = () => smtp.mails.find(({ to }) => to.includes(addressOf('dan')))?.raw.replaceAll('=\r\n', '')
    await expect.poll(mailOf, { timeout: 15_000 }).toBeDefined()
    const [, token = ''] = /#token=(?:3D)?([\w-]{43})/.exec(mailOf() ?? '') ?? []
    noteSecret(token)
    expect((await postJson(`${server.url}/password/reset`, { token, new_password: NEXT })).status).toBe(204)
    expect((await signIn('dan', NEXT)).status).toBe(200)
  })

  test('because an operator disabled the account, cannot now', async () => {
    expect((await signIn('fay')).status).toBe(401)
  })
})

interface Table {
  columns: Record<string, { type: string; optional: boolean }>
  unique: string[]
}

async function describeTables(): Promise<Map<string, Table>> {
  const columns = await query<{ table: string; name: string; type: string; optional: boolean }>(
    database.ownerUrl,
    `SELECT table_name AS table, column_name AS name, data_type AS type,
       is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES' AS optional
     FROM information_schema.columns WHERE table_schema = 'public'`,
  )
  const indexes = await query<{ table: string; definition: string }>(
    database.ownerUrl,
    `SELECT tablename AS table, indexdef AS definition FROM pg_indexes
     WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE %' ORDER BY 2`,
  )
  const tables = new Map<string, Table>()
  for (const { table, name, ...column } of columns) {
    const found = tables.get(table) ?? { columns: {}, unique: [] }
    tables.set(table, { ...found, columns: { ...found.columns, [name]: column } })
  }
  for (const { table, definition } of indexes) tables.get(table)?.unique.push(definition)
  return tables
}

test('replicas of the version before work on: what they read is there, and they need not know what is new', async () => {
  const after = await describeTables()
  for (const [name, table] of before) {
    const now = after.get(name)
    expect(now?.columns, name).toMatchObject(table.columns)
    expect(now?.unique, name).toEqual(table.unique)
    for (const [column, { optional }] of Object.entries(now?.columns ?? {}))
      if (!(column in table.columns)) expect(optional, `${name}.${column}`).toBe(true)
  }
  // As that version registers somebody, who then signs in here.
  const [gil] = await query<{ password_hash: string }>(
    database.ownerUrl,
    `INSERT INTO users (id, email, password_hash, roles, disabled_at, created_at)
     SELECT gen_random_uuid(), '${addressOf('gil')}', password_hash, '{}', NULL, now() FROM users WHERE email = '${addressOf('ada')}'
     ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING RETURNING password_hash`,
  )
  expect(gil?.password_hash).toMatch(/^\$argon2id\$/)
  expect((await signIn('gil')).status).toBe(200)
})
