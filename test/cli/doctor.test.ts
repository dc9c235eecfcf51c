import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { judgeClock, judgeDatabase, judgeFamilies, judgeKeys } from '../../src/cli/doctor-database.ts'
import { judgePasswords } from '../../src/cli/doctor-passwords.ts'
import type { DatabaseFacts, FamilyTableFacts } from '../../src/cli/queries.ts'
import type { KeyFacts } from '../../src/keys/lifecycle.ts'
import { createTestCli, run } from './support.ts'

interface Report {
  ok: boolean
  checks: { check: string; status: string; message: string; remedy: string | null }[]
}

test('a sound installation has no failed check', async () => {
  await using cli = await createTestCli()
  await cli.run(['keys', 'rotate'])
  const { ok, checks } = await cli.json<Report>(['doctor'])
  expect(ok).toBe(true)
  const status = (name: string) => checks.filter(({ check }) => check === name).map((finding) => finding.status)
  for (const name of ['clock', 'schema', 'signing keys', 'sessions'])
    expect({ [name]: status(name) }).toEqual({ [name]: ['ok'] })
  expect(checks.find(({ check }) => check === 'passwords')?.message).toMatch(
    /^argon2id with m=19456, t=2 takes \d+ ms here/,
  )
  for (const { status: each, remedy } of checks) if (each !== 'ok') expect(remedy).toBeTruthy()

  const { code, out } = await cli.run(['doctor'])
  expect(code).toBe(0)
  expect(out).toMatch(/^✓ configuration {2}valid; /)
})

test('a fault of the configuration fails, and no value is shown', async () => {
  const { code, out } = await run(['doctor', '--json'], {
    env: { DATABASE_URL: 'mysql://u:h4rd-to-guess@h/d', CLAVIGER_SECRET: 'too-short' },
  })
  expect(code).toBe(1)
  const { ok, checks } = JSON.parse(out) as Report
  expect(ok).toBe(false)
  expect(checks.map(({ check, status }) => `${check} ${status}`)).toEqual([
    'configuration failed',
    'configuration failed',
  ])
  expect(out).not.toMatch(/h4rd-to-guess|too-short/)
})

test('a database that is not there, or empty, fails', async () => {
  await using cli = await createTestCli()
  const away = await cli.run(['doctor'], { env: { DATABASE_URL: 'postgres://u:h4rd-to-guess@127.0.0.1:1/d' } })
  expect(away).toMatchObject({
    code: 1,
    out: expect.stringMatching(/✗ database +the database at 127\.0\.0\.1:1\/d cannot be reached/),
  })
  expect(away.out).not.toContain('h4rd-to-guess')

  const empty = new URL(cli.env.DATABASE_URL ?? '')
  empty.pathname = '/postgres'
  const unmigrated = await cli.run(['doctor'], { env: { DATABASE_URL: empty.href } })
  expect(unmigrated).toMatchObject({ code: 1, out: expect.stringMatching(/✗ schema +not up to date: 0001_init/) })
  expect(await cli.run(['users', 'list'], { env: { DATABASE_URL: empty.href } })).toMatchObject({
    code: 1,
    err: expect.stringContaining('claviger migrate'),
  })
})

test.each([
  [['users', 'list'], 4],
  [['migrate'], 4],
  [['doctor'], 1],
])('a password that nobody gives is missed in plain words: %j', async (args, code) => {
  await using cli = await createTestCli()
  const url = new URL(cli.env.DATABASE_URL ?? '')
  url.password = ''
  // In a process of its own: the driver keeps the connection that asked in vain, and PostgreSQL drops no database meanwhile.
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
  const env = { PATH: process.env.PATH, ...cli.env, DATABASE_URL: url.href }
  const message = 'DATABASE_URL has no password, and neither PGPASSWORD nor .pgpass gives one'
  await expect(promisify(execFile)(process.execPath, [main, ...args], { env })).rejects.toMatchObject({
    code,
    [code === 1 ? 'stdout' : 'stderr']: expect.stringContaining(message),
  })
})

test('what PgBouncer refuses is explained', async () => {
  await using cli = await createTestCli()
  // As version 1.24 says it.
  const fields = 'SFATAL\0C08P01\0Munsupported startup parameter: statement_timeout\0\0'
  const head = Buffer.from([0x45, 0, 0, 0, fields.length + 4])
  await using pooler = createServer((socket) => socket.resume().end(Buffer.concat([head, Buffer.from(fields)])))
  pooler.listen(0, '127.0.0.1')
  await once(pooler, 'listening')
  const { port } = pooler.address() as AddressInfo
  const { out } = await cli.run(['doctor'], { env: { DATABASE_URL: `postgres://u:p@127.0.0.1:${port}/d` } })
  expect(out).toContain('name it in ignore_startup_parameters, as in docs/scaling.md#pgbouncer')
})

test('what production would refuse is named in development', async () => {
  await using cli = await createTestCli()
  const { checks } = await cli.json<Report>(['doctor'], { env: { ISSUER: 'http://auth.example.com' } })
  expect(checks).toContainEqual(
    expect.objectContaining({ status: 'warning', message: expect.stringContaining('production would refuse ISSUER') }),
  )
  const open = await cli.run(['doctor'], { env: { DATABASE_URL: 'postgres://u:p@3221225985:1/d' } })
  expect(open.out).toContain('production would refuse ISSUER, DATABASE_URL')
  expect(open.out).toMatch(/! database link +plain text to 3221225985 \(192\.0\.2\.1\)/)
  const https = await cli.json<Report>(['doctor'], { env: { ISSUER: 'https://auth.example.com' } })
  expect(https.checks).toContainEqual(
    expect.objectContaining({ status: 'warning', message: expect.stringContaining('TRUSTED_PROXIES is empty') }),
  )
})

const statuses = (findings: { status: string }[]) => findings.map(({ status }) => status)
const sound: DatabaseFacts = {
  version: 180_004,
  standby: false,
  fsync: 'on',
  synchronousCommit: 'on',
  connections: 5,
  maxConnections: 100,
  oldestTransaction: 0,
}

test.each<[Partial<DatabaseFacts>, string[]]>([
  [{}, ['ok']],
  [{ version: 150_000 }, ['ok']],
  [{ version: 140_012 }, ['failed']],
  [{ standby: true }, ['ok', 'failed']],
  [{ fsync: 'off', synchronousCommit: 'off' }, ['ok', 'warning', 'warning']],
  [{ connections: 95 }, ['ok', 'warning']],
  [{ oldestTransaction: 3600 }, ['ok', 'warning']],
])('database %j', (facts, expected) => {
  expect(statuses(judgeDatabase({ ...sound, ...facts }, 3))).toEqual(expected)
})

const busy: FamilyTableFacts = { updates: 10_000, hotUpdates: 9900, live: 5000, dead: 200, bytes: 5e6, overdue: 0 }

test.each<[Partial<FamilyTableFacts>, string[]]>([
  [{}, ['ok']],
  [{ updates: 0, hotUpdates: 0, live: 0 }, ['ok']],
  [{ hotUpdates: 5000 }, ['ok', 'warning']],
  [{ updates: 100, hotUpdates: 0 }, ['ok']],
  [{ dead: 20_000 }, ['ok', 'warning']],
  [{ overdue: 10_001 }, ['ok', 'warning']],
])('table of sessions %j', (facts, expected) => {
  expect(statuses(judgeFamilies({ ...busy, ...facts }))).toEqual(expected)
})

const now = new Date('2026-03-01T00:00:00Z')
const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000)
const active: KeyFacts = {
  kid: 'a',
  state: 'active',
  createdAt: daysAgo(11),
  activatedAt: daysAgo(10),
  retiredAt: null,
  sealedBy: 's1',
  usable: true,
}

test.each<[string, KeyFacts[], string[]]>([
  ['none', [], ['warning']],
  ['active', [active], ['ok']],
  ['overdue', [{ ...active, activatedAt: daysAgo(92) }], ['ok', 'warning']],
  ['not opened', [{ ...active, usable: false }], ['failed']],
  ['an old one not opened', [active, { ...active, kid: 'r', state: 'retiring', usable: false }], ['warning', 'ok']],
  ['sealed with an older secret', [{ ...active, sealedBy: 's0' }], ['ok', 'warning']],
  ['successor published', [active, { ...active, kid: 'n', state: 'next', createdAt: daysAgo(0.5) }], ['ok']],
])('signing keys: %s', (_case, keys, expected) => {
  expect(statuses(judgeKeys(keys, now, { KEY_ROTATION_DAYS: 90 }, 's1'))).toEqual(expected)
})

test('clocks that part deserve a look, either way', () => {
  expect(judgeClock(0)).toMatchObject({ status: 'ok', message: 'this host and the database agree' })
  expect(judgeClock(-40)).toMatchObject({ status: 'ok', message: 'this host is 40 ms behind the database' })
  expect(judgeClock(5000)).toMatchObject({
    status: 'warning',
    message: expect.stringContaining('5.0 s ahead of the database'),
  })
})

test('advice on argon2 follows from its speed', () => {
  const cost = { memoryKib: 19_456, passes: 2, concurrency: 3 }
  expect(judgePasswords(20, cost)).toMatchObject({
    status: 'ok',
    message: expect.stringContaining('about 150 sign-ins a second'),
    remedy: expect.stringContaining('ARGON2_MEMORY_KIB=90112'),
  })
  expect(judgePasswords(80, cost)).toMatchObject({ status: 'ok', remedy: null })
  expect(judgePasswords(900, cost).status).toBe('warning')
})
