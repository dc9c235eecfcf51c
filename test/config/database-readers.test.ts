import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, startCluster, urlOf } from '../../dev/postgres/cluster.ts'
import type { DatabaseHost } from '../../src/config/database-target.ts'
import { parseConfig } from '../../src/config/parse.ts'
import { connect } from '../../src/db/connect.ts'
import { makeCertificate } from '../support/certificate.ts'
import { listenAt, type Told } from '../support/eavesdropper.ts'
import { freePort } from '../support/server.ts'

/*
 * Whatever is accepted means the same to three readers: ours, the driver, and libpq, which is inside PostgreSQL and opens
 * connections through dblink. All are led to listeners that note what they are told.
 */

const CLAVIGER_SECRET = 'TOmBwUGsNhYv8YVvKcVhrM1kxsAJsAQ8TnGmqGMuKxE='
const [firstPort, secondPort] = [await freePort(), await freePort()]
/** By all listeners, in order. */
const heard: Told[] = []
let folder: string
let home: string
let authority: string
let cluster: Cluster
let libpq: pg.Client
let listeners: Awaited<ReturnType<typeof listenAt>>[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'readers-'))
  home = mkdtempSync(join(tmpdir(), 'readers-home-'))
  // PostgreSQL may run as somebody else.
  chmodSync(folder, 0o755)
  const { certificate, key } = makeCertificate('localhost')
  authority = join(folder, 'ca.pem')
  writeFileSync(authority, certificate)
  const sockets = [firstPort, secondPort, 5432].map((port) => join(folder, `.s.PGSQL.${port}`))
  listeners = await Promise.all(
    [firstPort, secondPort, ...sockets].map((door) => listenAt(door, { key, cert: certificate }, heard)),
  )
  cluster = await startCluster({ home, version: '18', ephemeral: true, password: 'x' })
  libpq = new pg.Client(urlOf(cluster.port, 'x'))
  await libpq.connect()
  await libpq.query('CREATE EXTENSION dblink')
}, 60_000)
afterAll(async () => {
  await libpq.end()
  await cluster.stop()
  for (const listener of listeners) listener.close()
  for (const made of [folder, home]) rmSync(made, { recursive: true, force: true })
})

async function heardOf(connect: () => Promise<unknown>): Promise<Told | string> {
  heard.length = 0
  const error = await connect().then(
    () => 'it was let in',
    (failure: Error) => failure.message,
  )
  return heard[0] ?? error
}

const byDriver = (url: string) => heardOf(() => new pg.Client({ connectionString: url }).connect())
const byLibpq = (url: string) => heardOf(() => libpq.query('SELECT dblink_connect($1)', [url]))

function ours(url: string): Told & { url: string } {
  const { secrets, database } = parseConfig({ CLAVIGER_SECRET, DATABASE_URL: url })
  const { searchParams, username, password } = new URL(secrets.databaseUrl.replace('@/', '@socket/'))
  const { hosts, verified } = database
  const [{ host, port }] = hosts as [DatabaseHost]
  return {
    url: secrets.databaseUrl,
    at: host.startsWith('/') ? join(host, `.s.PGSQL.${port}`) : String(port),
    tls: verified,
    user: decodeURIComponent(username),
    database: database.database ?? decodeURIComponent(username),
    options: searchParams.get('options') ?? undefined,
    password: decodeURIComponent(password),
  }
}

const raw = fc.constantFrom(...'ab9:@/?#%&=+[]!~\'"^|{}.,;$*()-_\\')
const escaped = fc.constantFrom(
  '%41',
  '%2F',
  '%3a',
  '%C3%A9',
  '%ff',
  '%00',
  '%40',
  '%23',
  '%25',
  '%20',
  '%26',
  '%2B',
  '%2541',
)
const text = (maxLength: number) =>
  fc.array(fc.oneof({ weight: 4, arbitrary: raw }, escaped), { minLength: 1, maxLength }).map((parts) => parts.join(''))
const plain = fc.stringMatching(/^[a-z]{1,6}$/)
const mostly = (usual: fc.Arbitrary<string>, length: number) => fc.oneof({ weight: 2, arbitrary: usual }, text(length))

/** URLs that lead to a listener if they are read as they are meant, with now and then a piece that may not be. */
const urls = fc
  .record({
    scheme: fc.constantFrom('postgres', 'postgresql'),
    // Without one it is that of the process, and libpq runs in another.
    user: mostly(plain, 4).filter((user) => !user.startsWith(':')),
    password: mostly(plain, 6),
    where: fc.constantFrom('port', 'name', 'socket', 'socket as host', 'tls', 'behind'),
    database: fc.oneof(plain, text(3), fc.constant('')),
    options: fc.option(mostly(plain, 4)),
    extra: fc.option(
      fc.constantFrom(
        'sslmode=disable',
        'sslmode=require',
        `port=${secondPort}`,
        'host=localhost',
        'user=eve',
        'dbname=other',
        'ssl=0',
        'connect_timeout=1',
        'sslmode=',
        '',
      ),
      { freq: 4 },
    ),
    port: fc.constantFrom(firstPort, secondPort),
  })
  .map(({ scheme, user, password, where, database, options, extra, port }) => {
    const [hostAndPort, ...parameters] = {
      port: [`127.0.0.1:${port}`],
      name: [`localhost:${port}`, 'sslmode=disable'],
      socket: ['', `host=${folder}`],
      'socket as host': [`${encodeURIComponent(folder)}:${firstPort}`],
      tls: [`localhost:${port}`, 'sslmode=verify-full', `sslrootcert=${authority}`],
      behind: ['', 'host=127.0.0.1', `port=${port}`],
    }[where] as [string, ...string[]]
    const query = [
      ...parameters,
      ...(options === null ? [] : [`options=${options}`]),
      ...(extra === null ? [] : [extra]),
    ]
    return `${scheme}://${user}:${password}@${hostAndPort}/${database}${query.length > 0 ? `?${query.join('&')}` : ''}`
  })

test('what is accepted is the same to the driver and to libpq', { timeout: 120_000 }, async () => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(urls, async (url) => {
      let mine: ReturnType<typeof ours>
      try {
        mine = ours(url)
      } catch {
        return
      }
      accepted++
      const { url: complete, ...expected } = mine
      expect(await byDriver(complete)).toEqual(expected)
      expect(await byDriver(url)).toEqual(expected)
      // Where the URL is silent, libpq takes TLS if it is offered, from anybody: that proves as little as none.
      const tls = url.includes('sslmode=') ? expected.tls : expect.any(Boolean)
      expect(await byLibpq(url)).toEqual({ ...expected, tls })
    }),
    { numRuns: 1500 },
  )
  expect(accepted).toBeGreaterThan(100)
})

test('a list is the same to the server and to libpq: what stands first is asked first, and what is not there is passed over', async () => {
  const nobody = await freePort()
  const [first, second] = [firstPort, secondPort]
  const socket = encodeURIComponent(folder)
  const lists: [string, number | string][] = [
    [`127.0.0.1:${first},127.0.0.1:${second}/d`, first],
    [`127.0.0.1:${second},127.0.0.1:${first}/d`, second],
    [`127.0.0.1:${nobody},127.0.0.1:${second}/d`, second],
    [`127.0.0.1:${nobody},localhost:${nobody},127.0.0.1:${first}/d`, first],
    [`127.0.0.1,127.0.0.2/d?port=${first}`, first],
    [`127.0.0.2,127.0.0.1/d?port=${first}`, first],
    [`127.0.0.1,localhost/d?port=${nobody},${second}`, second],
    [`/d?host=127.0.0.1,127.0.0.1&port=${nobody}%2C${first}`, first],
    [`/d?host=127.0.0.1%2C127.0.0.1&port=${nobody},${second}`, second],
    [`127.0.0.1:${nobody},${socket}:${second}/d`, join(folder, `.s.PGSQL.${second}`)],
    [`127.0.0.1:${nobody},${socket}/d`, join(folder, '.s.PGSQL.5432')],
    [`/d?host=127.0.0.1,${folder}&port=${nobody},${first}`, join(folder, `.s.PGSQL.${first}`)],
    [`nowhere.invalid:${first},127.0.0.1:${second}/d`, second],
    [`127.0.0.1:${nobody},localhost:${second}/d?sslmode=verify-full&sslrootcert=${authority}`, second],
  ]
  for (const [list, at] of lists) {
    const url = `postgres://u:p@${list}`
    const expected = {
      at: String(at),
      tls: url.includes('verify-full'),
      user: 'u',
      database: 'd',
      options: undefined,
      password: 'p',
    }
    const { secrets } = parseConfig({ CLAVIGER_SECRET, DATABASE_URL: url })
    const { db } = connect({ url: secrets.databaseUrl, size: 1 })
    expect(await heardOf(() => sql`SELECT 1`.execute(db)), list).toEqual(expected)
    await db.destroy()
    expect(await byLibpq(url), list).toEqual({ ...expected, tls: expected.tls || expect.any(Boolean) })
    // What our reading makes of it, too.
    const readable = secrets.databaseUrl.replace(/&?sslmode=disable/, '').replace('?&', '?')
    expect(await byLibpq(readable), list).toEqual({ ...expected, tls: expected.tls || expect.any(Boolean) })
  }
})
