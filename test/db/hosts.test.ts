import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { cannotWrite, isUnavailable } from '../../src/db/errors.ts'
import { createHosts } from '../../src/db/hosts.ts'
import { connectServer } from '../../src/db/pools.ts'
import { explainRefusal } from '../../src/db/refusals.ts'
import { startAbyss } from '../support/abyss.ts'
import { atOnce } from '../support/at-once.ts'
import { makeCertificate } from '../support/certificate.ts'
import { listenAt, type Told } from '../support/eavesdropper.ts'
import { forFile } from '../support/for-file.ts'
import { startForwarder } from '../support/forwarder.ts'
import { cloneDatabase, query } from '../support/postgres.ts'
import { freePort } from '../support/server.ts'
import { type Pair, startPair } from '../support/standby.ts'
import { openPool, pid, pids } from './pool.ts'

const database = forFile(await cloneDatabase())
const good = new URL(database.url).host

/** The database by a list of hosts. */
const over = (hosts: string[], session = 'read-write') =>
  `${database.url.replace(good, hosts.join(','))}?target_session_attrs=${session}`

const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('it went well'),
    (error: Error) => error,
  )

test.each([
  ['refuses', async () => `127.0.0.1:${await freePort()}`],
  ['has a name that does not resolve', async () => 'nowhere.invalid:5432'],
])('a host that %s is passed over', async (_name, place) => {
  await using pool = openPool(over([await place(), good]), { size: 4 })
  expect((await pids(pool, 4)).size).toBe(4)
})

test.each(['silent', 'lets in'] as const)(
  'a host that never answers costs a part of the time once, and later connections nothing: %s',
  async (manner) => {
    await using abyss = await startAbyss(manner)
    await using pool = openPool(over([abyss.place, good]), { size: 4, timeouts: { acquire: 1000 } })
    await pid(pool)
    expect(abyss.connections()).toBe(1)
    expect((await pids(pool, 4)).size).toBe(4)
    expect(abyss.connections()).toBe(1)
  },
)

test('all pools of a server share what one has found out', async () => {
  await using abyss = await startAbyss()
  const moved: string[] = []
  const pools = await connectServer({
    url: over([good, abyss.place].toReversed()),
    size: 6,
    onMoved: (host) => moved.push(host),
  })
  try {
    await pid(pools)
    expect(abyss.connections()).toBe(1)
    await Promise.all([pools.refreshDb, pools.rotationDb].map((db) => pid({ db })))
    expect(abyss.connections()).toBe(1)
    expect(moved, 'it is the first that answers').toEqual([])
  } finally {
    await pools.close()
  }
})

test('where connections go to another host than before, it is told', async () => {
  await using line = await startForwarder(Number(new URL(database.url).port))
  const moved: string[] = []
  const url = over([`127.0.0.1:${line.port}`, good])
  const { db } = connect({ url, hosts: createHosts(url, (host) => moved.push(host)), size: 1 })
  try {
    await pid({ db })
    line.lead(undefined)
    line.cut()
    await expect
      .poll(() =>
        pid({ db }).then(
          () => moved,
          () => [],
        ),
      )
      .toEqual([good])
  } finally {
    await db.destroy()
  }
})

test('with all hosts away, what each said is one error that means “not now”, and a crowd asks each of them a few times only', async () => {
  await using first = await startAbyss('hangs up')
  await using second = await startAbyss('hangs up')
  await using pool = openPool(over([first.place, second.place]), { size: 4 })
  const errors = await atOnce(100, () => failure(pid(pool)))
  for (const error of errors) expect(isUnavailable(error), error.message).toBe(true)
  expect(errors.at(-1)?.message).toContain(`${first.place}: `)
  expect(errors.at(-1)?.message).toContain(`${second.place}: `)
  for (const { connections } of [first, second]) expect(connections()).toBeLessThan(50)
  // The pause ends by itself.
  const before = first.connections() + second.connections()
  await expect
    .poll(async () => {
      await failure(pid(pool))
      return first.connections() + second.connections()
    })
    .toBeGreaterThan(before)
})

test('a password that no host takes is an error of its own, and one that is only away may change that', async () => {
  const wrong = (hosts: string[]) => over(hosts).replace(/:[^:@]*@/, ':wrong@')
  await using refused = openPool(wrong([good, good]))
  expect(await failure(pid(refused))).toMatchObject({ code: '28P01' })
  await using away = openPool(wrong([good, 'nowhere.invalid:5432']))
  const error = await failure(pid(away))
  expect(isUnavailable(error)).toBe(true)
  expect(error.message).toMatch(/password authentication failed.*; nowhere\.invalid:5432: ENOTFOUND$/)
})

// The machines of a cluster connect to each other as clients do, and take the two.
test.skipIf(inject('citus'))(
  'a database that cannot take more connections is not another host’s turn for ever: callers share what there is',
  async () => {
    const name = new URL(database.url).pathname.slice(1)
    await query(database.ownerUrl, `ALTER DATABASE ${name} CONNECTION LIMIT 2`)
    try {
      await using pool = openPool(over([`127.0.0.1:${await freePort()}`, good]), { size: 4 })
      expect((await pids(pool, 8)).size).toBeLessThanOrEqual(2)
    } finally {
      await query(database.ownerUrl, `ALTER DATABASE ${name} CONNECTION LIMIT -1`)
    }
  },
)

test('sslmode=verify-full asks each host for its own name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-hosts-'))
  const certificate = makeCertificate('localhost')
  const file = join(folder, 'ca.pem')
  writeFileSync(file, certificate.certificate)
  const heard: Told[] = []
  const [first, second] = [await freePort(), await freePort()]
  const listeners = await Promise.all(
    [first, second].map((port) => listenAt(port, { key: certificate.key, cert: certificate.certificate }, heard)),
  )
  const ask = async (hosts: string) => {
    heard.length = 0
    await using pool = openPool(`postgres://u:p@${hosts}/d?sslmode=verify-full&sslrootcert=${encodeURIComponent(file)}`)
    const error = await failure(pid(pool))
    return { error, at: heard.map(({ at }) => at) }
  }
  try {
    // The certificate is good for one of the two names.
    expect((await ask(`127.0.0.1:${first},localhost:${second}`)).at).toEqual([String(second)])
    expect((await ask(`localhost:${first},127.0.0.1:${second}`)).at).toEqual([String(first)])
    const neither = await ask(`127.0.0.1:${first},127.0.0.1:${second}`)
    expect(neither.at).toEqual([])
    expect(explainRefusal(neither.error)).toContain('for another name than the host')
  } finally {
    for (const listener of listeners) listener.close()
    rmSync(folder, { recursive: true })
  }
})

describe('what a session must be able to do', () => {
  let pair: Pair
  beforeAll(async () => {
    pair = await startPair()
  }, 60_000)
  afterAll(() => pair[Symbol.asyncDispose]())

  /** Whether the first connection is to the standby. */
  const onStandby = async (session: string, hosts: string) => {
    await using pool = openPool(`${hosts}?target_session_attrs=${session}`)
    const { rows } = await sql<{ standby: boolean }>`SELECT pg_is_in_recovery() AS standby`.execute(pool.db)
    return rows[0]?.standby
  }

  test.each([
    ['read-write', false],
    ['primary', false],
    ['any', true],
  ])('target_session_attrs=%s, the standby first: is it taken? %s', async (session, expected) => {
    expect(await onStandby(session, pair.over('standby', 'primary'))).toBe(expected)
    expect(await onStandby(session, pair.over('primary', 'standby'))).toBe(false)
  })

  test.each([
    ['read-write', 'is a standby'],
    ['primary', 'is a standby'],
  ])('a standby alone is refused as one that cannot write, with %s', async (session, message) => {
    const error = await failure(onStandby(session, pair.over('standby')))
    expect(cannotWrite(error)).toBe(true)
    expect(error.message).toBe(message)
  })

  test('a primary that is read-only is one to primary, and not to read-write', async () => {
    await pair.onPrimary('ALTER DATABASE claviger SET default_transaction_read_only = on')
    try {
      const error = await failure(onStandby('read-write', pair.over('primary', 'standby')))
      expect(cannotWrite(error)).toBe(true)
      expect(error.message).toMatch(/: is read-only; .*: is a standby$/)
      expect(await onStandby('primary', pair.over('primary', 'standby'))).toBe(false)
    } finally {
      await pair.onPrimary('BEGIN READ WRITE; ALTER DATABASE claviger RESET default_transaction_read_only; COMMIT')
    }
  })
})
