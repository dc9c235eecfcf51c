import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, inject, test } from 'vitest'
import { judgeClock, judgeConnections, judgeDatabase, judgeRole } from '../../src/cli/doctor/database.ts'
import { judgeHosts } from '../../src/cli/doctor/hosts.ts'
import { judgePasswords } from '../../src/cli/doctor/passwords.ts'
import { judgeFamilies, judgeKeys, judgeVerifiers, judgeWithdrawn } from '../../src/cli/doctor/tables.ts'
import type { DatabaseFacts, TableFacts } from '../../src/db/statistics.ts'
import { type KeyFacts, keyPolicy } from '../../src/keys/lifecycle.ts'
import type { Verifier } from '../../src/revocations/receipts/verifiers.ts'
import { makeCertificate } from '../support/certificate.ts'
import { listenAt } from '../support/eavesdropper.ts'
import { query } from '../support/postgres.ts'
import { freePort } from '../support/server.ts'
import { createTestCli, run } from './support.ts'

interface Report {
  ok: boolean
  checks: { check: string; status: string; message: string; remedy: string | null }[]
}

/** Its issuer is a port on which nobody is: what runs on this machine is not looked at. */
const createDoctor = async () => createTestCli({ PORT: `${await freePort()}` })

test('a sound installation has no failed check', async () => {
  await using cli = await createDoctor()
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

  const empty = new URL(cli.database.ownerUrl)
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

test('what is wrong with TLS is said, and is nothing to wait for', async () => {
  await using cli = await createTestCli()
  const folder = mkdtempSync(join(tmpdir(), 'claviger-doctor-'))
  const [ours, theirs, elsewhere] = [
    makeCertificate('localhost'),
    makeCertificate('localhost'),
    makeCertificate('db.test'),
  ]
  const found = async (at: { key: string; certificate: string }, authority: string) => {
    const port = await freePort()
    const listener = await listenAt(port, { key: at.key, cert: at.certificate })
    writeFileSync(join(folder, 'ca.pem'), authority)
    const url = `postgres://u:p@localhost:${port}/d?sslmode=verify-full&sslrootcert=${join(folder, 'ca.pem')}`
    const { code, err } = await cli.run(['users', 'list'], { env: { DATABASE_URL: url } })
    listener.close()
    return { code, err, heard: listener.heard.length }
  }
  try {
    expect(await found(ours, ours.certificate)).toMatchObject({ heard: 1 })
    const refused = (message: string) => ({ code: 4, heard: 0, err: expect.stringContaining(message) })
    expect(await found(theirs, ours.certificate)).toEqual(refused('of an authority that is not known here'))
    expect(await found(elsewhere, elsewhere.certificate)).toEqual(refused('for another name than the host'))
    const plain = `${cli.env.DATABASE_URL}?sslmode=verify-full`
    const { err } = await cli.run(['users', 'list'], { env: { DATABASE_URL: plain } })
    // Citus makes its machines offer it, by certificates of their own.
    if (!inject('citus')) expect(err).toContain('the database offers no TLS')
  } finally {
    rmSync(folder, { recursive: true })
  }
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
  role: 'claviger',
  version: 180_004,
  standby: false,
  readOnly: false,
  fsync: 'on',
  synchronousCommit: 'on',
  connections: 5,
  maxConnections: 100,
  reservedConnections: 3,
  roleConnections: null,
  databaseConnections: null,
  oldestTransaction: 0,
}

test.each<[Partial<DatabaseFacts>, string[]]>([
  [{}, ['ok']],
  [{ version: 150_000 }, ['ok']],
  [{ version: 140_012 }, ['failed']],
  [{ standby: true }, ['ok', 'failed']],
  [{ fsync: 'off', synchronousCommit: 'off' }, ['ok', 'warning', 'warning']],
  [{ readOnly: true }, ['ok', 'failed']],
  [{ standby: true, readOnly: true }, ['ok', 'failed']],
  [{ oldestTransaction: 3600 }, ['ok', 'warning']],
])('database %j', (facts, expected) => {
  expect(statuses(judgeDatabase({ ...sound, ...facts }, 3))).toEqual(expected)
})

test.each<[Partial<DatabaseFacts>, string[]]>([
  [{}, []],
  [{ connections: 95 }, ['few are left']],
  [{ roleConnections: 9 }, ['CONNECTION LIMIT of the role allows 9, but DATABASE_POOL_SIZE is 10']],
  [{ roleConnections: 10, databaseConnections: 10 }, []],
  [{ databaseConnections: 0 }, ['CONNECTION LIMIT of the database allows 0']],
  [{ maxConnections: 12 }, ['max_connections, without those that are reserved, allows 9']],
])('connections of a server with a pool of 10 and %j', (facts, expected) => {
  const pool = { DATABASE_POOL_SIZE: 10, PROCESSES: 1 }
  const messages = judgeConnections({ ...sound, ...facts }, pool).map(({ message }) => message)
  expect(messages).toEqual(expected.map((text) => expect.stringContaining(text)))
})

test('connections are those of all processes of a server', () => {
  const several = { DATABASE_POOL_SIZE: 10, PROCESSES: 4 }
  expect(judgeConnections({ ...sound, roleConnections: 40 }, several)).toEqual([])
  const [finding] = judgeConnections({ ...sound, roleConnections: 39 }, several)
  expect(finding?.message).toContain('allows 39, but PROCESSES × DATABASE_POOL_SIZE is 40')
})

test.each<[string, Parameters<typeof judgeRole>[1], boolean, string]>([
  ['only serves', undefined, true, 'ok'],
  ['owns the tables', { holder: 'claviger', kind: 'owner' }, true, 'ok'],
  ['may become their owner', { holder: 'other', kind: 'owner' }, true, 'warning'],
  ['is a superuser', { holder: 'claviger', kind: 'superuser' }, true, 'warning'],
  ['is a superuser of a developer', { holder: 'claviger', kind: 'superuser' }, false, 'ok'],
  ['may change the trail of a developer', { holder: 'claviger', kind: 'trail' }, false, 'warning'],
])('a role that %s', (_what, excess, production, status) => {
  expect(judgeRole('claviger', excess, production).status).toBe(status)
})

test('of several hosts each is asked what it is', async () => {
  await using cli = await createTestCli()
  const url = new URL(cli.env.DATABASE_URL ?? '')
  const several = (hosts: string) => url.href.replace(url.host, hosts)
  const { out } = await cli.run(['doctor'], { env: { DATABASE_URL: several(`127.0.0.1:1,${url.host}`) } })
  expect(out).toMatch(/! database hosts +127\.0\.0\.1:1: ECONNREFUSED\n.*\n✓ +127\.0\.0\.1:\d+ takes writes/)
  // One server under two addresses is no second primary.
  const twice = await cli.run(['doctor'], { env: { DATABASE_URL: several(`${url.host},localhost:${url.port}`) } })
  expect(twice.out).not.toContain('several servers take writes')
  expect(twice.out).toMatch(/✓ +localhost:\d+ takes writes/)
  const away = await cli.run(['users', 'list'], { env: { DATABASE_URL: several('127.0.0.1:1,nowhere.invalid:2') } })
  expect(away.err).toMatch(/the database at 127\.0\.0\.1:1,nowhere\.invalid:2\/\w+ cannot be reached/)
  expect(away.err.replaceAll(/\s+/g, ' ')).toContain('127.0.0.1:1: ECONNREFUSED; nowhere.invalid:2: ENOTFOUND')
})

test('what several hosts say of themselves is judged', () => {
  const facts = { standby: false, readOnly: false, started: 'then' }
  const statuses = (...answers: (typeof facts | Error)[]) =>
    judgeHosts(answers.map((answer, index) => ({ name: `host-${index}`, answer }))).map(({ status }) => status)
  expect(statuses(facts, { ...facts, standby: true, readOnly: true, started: 'later' })).toEqual(['ok', 'ok'])
  expect(statuses(facts, { ...facts, started: 'later' }), 'two primaries').toEqual(['ok', 'ok', 'failed'])
  expect(statuses(facts, { ...facts, readOnly: true, started: 'later' })).toEqual(['ok', 'warning'])
  const error = (code: string) => Object.assign(new Error('as it says'), { code })
  expect(statuses(facts, error('ECONNREFUSED'))).toEqual(['ok', 'warning'])
  expect(statuses(facts, error('28P01')), 'a password that it does not take').toEqual(['ok', 'failed'])
  expect(statuses(facts, error('ERR_TLS_CERT_ALTNAME_INVALID'))).toEqual(['ok', 'failed'])
})

test('a role that was granted more by mistake is pointed out', async () => {
  await using cli = await createTestCli()
  const role = new URL(cli.env.DATABASE_URL ?? '').username
  const check = async () => (await cli.run(['doctor'])).out.replaceAll(/\s+/g, ' ')
  expect(await check()).toContain(`✓ role “${role}” may serve`)
  await query(cli.database.ownerUrl, 'GRANT UPDATE ON audit TO PUBLIC')
  expect(await check()).toContain(`! role the role “${role}” may change the audit trail`)
})

test('what an administrator has set for role and database is seen', async () => {
  await using cli = await createTestCli()
  const name = new URL(cli.env.DATABASE_URL ?? '').pathname.slice(1)
  const role = `doctor_${name}`
  await query(cli.database.ownerUrl, `CREATE ROLE ${role} LOGIN PASSWORD 'x' CONNECTION LIMIT 3`)
  const url = new URL(cli.env.DATABASE_URL ?? '')
  Object.assign(url, { username: role, password: 'x' })
  const found = async (options: string) => {
    const { out } = await cli.run(['doctor'], { env: { DATABASE_URL: `${url.href}?options=${options}` } })
    return out
  }
  try {
    expect(await found('-c%20default_transaction_read_only%3Don')).toMatch(/✗ +default_transaction_read_only is on/)
    expect(await found('-c%20search_path%3Dnowhere')).toMatch(/✗ schema +there is no schema/)
    const out = await found('-c%20search_path%3Dpublic')
    expect(out).toMatch(/! connections +CONNECTION LIMIT of the role allows 3, but DATABASE_POOL_SIZE is 10/)
    expect(out).toMatch(/✗ schema +the role .* may not read the tables/)
    await query(cli.database.ownerUrl, `CREATE SCHEMA empty; GRANT USAGE ON SCHEMA empty TO ${role}`)
    expect(await found('-c%20search_path%3Dempty')).toMatch(/✗ schema +permission denied for schema empty/)
    await query(cli.database.ownerUrl, 'CREATE TABLE empty.users (id int)')
    expect(await found('-c%20search_path%3Dempty')).toMatch(/✗ schema +the schema “empty” .* is not empty/)
    await query(cli.database.ownerUrl, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`)
    expect(await found('-c%20search_path%3Dpublic')).toMatch(/✗ schema +permission denied for table/)
  } finally {
    await query(cli.database.ownerUrl, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
  }
})

test('sessions are counted as they are, also before the statistics know of them', async () => {
  await using cli = await createTestCli()
  const id = '019ab5f0-0000-7000-8000-000000000001'
  await query(
    cli.database.ownerUrl,
    `INSERT INTO users (id, email, created_at) VALUES ('${id}', 'a@example.com', now());
     INSERT INTO families (id, user_id, auth_time, created_at, expires_at, window_started_at, current_hash, generation,
       rotated_at, idle_seconds, remember, client_id, delivery, scope, audience, amr)
     SELECT gen_random_uuid(), '${id}', now(), now(), now() + interval '1 hour', now(), sha256(i::text::bytea), 0, now(), 60,
       false, 'web', 'cookie', '{account}', '{x}', '{pwd}' FROM generate_series(1, 7) AS i`,
  )
  expect((await cli.run(['doctor'])).out).toMatch(/sessions +7 rows/)
})

const busy = { updates: 10_000, hotUpdates: 9900, live: 5000, dead: 200, bytes: 5e6 }

test.each<[Partial<TableFacts> & { overdue?: number }, string[]]>([
  [{}, ['ok']],
  [{ updates: 0, hotUpdates: 0, live: 0 }, ['ok']],
  [{ hotUpdates: 5000 }, ['ok', 'warning']],
  [{ updates: 100, hotUpdates: 0 }, ['ok']],
  [{ dead: 20_000 }, ['ok', 'warning']],
  [{ overdue: 10_001 }, ['ok', 'warning']],
])('table of sessions %j', ({ overdue = 0, ...facts }, expected) => {
  expect(statuses(judgeFamilies({ ...busy, ...facts }, overdue))).toEqual(expected)
})

const now = new Date('2026-03-01T00:00:00Z')
const policy = keyPolicy({ KEY_ROTATION_DAYS: 90, WITHDRAWN_KEYS: [] }, 's1')
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
  expect(statuses(judgeKeys(keys, now, policy))).toEqual(expected)
})

test.each<[string, number, string | undefined, string[], string]>([
  ['is not due yet', 0.5, 'n', ['ok'], 'the next one takes over in 12 h'],
  ['is due, and nobody lacks it', 1.1, undefined, ['ok', 'warning'], 'the next one takes over 2 h ago'],
  ['waits', 1.1, 'n', ['ok'], 'waits for services that do not hold it, and takes over in 22 h'],
  ['has waited for longer than it may', 2.1, 'n', ['ok', 'warning'], 'and takes over 2 h ago'],
])('a next key that %s', (_case, age, awaited, expected, words) => {
  const keys: KeyFacts[] = [active, { ...active, kid: 'n', state: 'next', createdAt: daysAgo(age) }]
  const findings = judgeKeys(keys, now, policy, awaited)
  expect([statuses(findings), findings[0]?.message]).toEqual([expected, expect.stringContaining(words)])
})

test('services that report and are not up to date deserve a look', () => {
  const report = { clientId: 'cl_a', client: 'a', epoch: '', seq: 0, kids: [], reportedAt: now, missedSince: undefined }
  const found = (...states: Verifier['state'][]) =>
    judgeVerifiers(states.map((state, index) => ({ ...report, instance: `${index}`, state })))
  expect(found()).toEqual([])
  expect(statuses(found('current', 'gone'))).toEqual(['ok'])
  expect(found('current', 'silent', 'behind')).toMatchObject([
    { status: 'warning', message: expect.stringContaining('2 of 3 instances') },
  ])
})

test.each<[string, Parameters<typeof judgeWithdrawn>, string[]]>([
  ['as they should be', [[{ kid: 'a', state: 'removed', compromised: true }], ['a']], []],
  ['brought back by a restore', [[{ kid: 'a', state: 'active', compromised: false }], ['a']], ['failed']],
  ['not named in the settings', [[{ kid: 'a', state: 'removed', compromised: true }], ['b']], ['warning']],
])('withdrawn keys: %s', (_case, [keys, withdrawn], expected) => {
  const findings = judgeWithdrawn(keys, withdrawn)
  expect(statuses(findings)).toEqual(expected)
  if (expected[0] === 'warning') expect(findings[0]?.remedy).toBe('set WITHDRAWN_KEYS=b,a')
})

test('a withdrawn key that is back is not told as the one that signs', () => {
  const config = { KEY_ROTATION_DAYS: 90, WITHDRAWN_KEYS: ['a'] }
  expect(statuses(judgeKeys([active], now, keyPolicy(config, 's1')))).toEqual(['warning'])
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
