import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isUnavailable } from '../../src/db/errors.ts'
import { connectServer } from '../../src/db/pools.ts'
import { atOnce } from '../support/at-once.ts'
import { startForwarder } from '../support/forwarder.ts'
import { cloneDatabase, createRole, type TestDatabase } from '../support/postgres.ts'
import { openPool, type Pool, pid, pids } from './pool.ts'

let database: TestDatabase
let admin: Pool
beforeAll(async () => {
  database = await cloneDatabase()
  admin = openPool(database.ownerUrl)
})
afterAll(async () => {
  await admin[Symbol.asyncDispose]()
  await database.drop()
})

test('a pool that may not have as many connections as it wants shares those it has, and grows when it may', async () => {
  const role = await createRole(database, 'ALTER ROLE $role CONNECTION LIMIT 3')
  await using line = await startForwarder(Number(new URL(database.url).port))
  await using pool = openPool(line.through(role.url), { size: 10 })
  expect((await pids(pool, 30)).size).toBe(3)
  expect(line.connections(), 'nor does it knock all the time').toBeLessThan(20)
  await sql.raw(`ALTER ROLE ${role.name} CONNECTION LIMIT 6`).execute(admin.db)
  await expect.poll(async () => (await pids(pool, 12)).size, { timeout: 5000 }).toBe(6)
})

test('one that has none at all gets the first that becomes free', async () => {
  const role = await createRole(database, 'ALTER ROLE $role CONNECTION LIMIT 1')
  const holder = openPool(role.url)
  await pid(holder)
  await using pool = openPool(role.url, { size: 10 })
  const waiting = pids(pool, 5)
  await sleep(700)
  await holder[Symbol.asyncDispose]()
  expect((await waiting).size).toBe(1)
})

test('after the time for a connection is over, it is an outage', async () => {
  const role = await createRole(database, 'ALTER ROLE $role CONNECTION LIMIT 1')
  await using holder = openPool(role.url)
  await pid(holder)
  await using pool = openPool(role.url, { size: 10, timeouts: { acquire: 600 } })
  const started = performance.now()
  const errors = await atOnce(5, () => pid(pool).catch((error: unknown) => error))
  expect(performance.now() - started).toBeLessThan(1200)
  expect(errors.map(isUnavailable)).toEqual(Array(5).fill(true))
})

test('whatever it is that keeps it from growing: nobody answers, while a connection of its own will be free soon', async () => {
  await using line = await startForwarder(Number(new URL(database.url).port))
  await using pool = openPool(line.through(database.url), { size: 10 })
  const first = await pid(pool)
  line.lead(undefined)
  expect([...(await pids(pool, 5))]).toEqual([first])
})

test('without any connection an absent server is an outage at once', async () => {
  await using line = await startForwarder()
  await using pool = openPool(line.through(database.url), { size: 10 })
  const started = performance.now()
  const errors = await atOnce(5, () => pid(pool).catch((error: unknown) => error))
  expect(performance.now() - started).toBeLessThan(1000)
  expect(errors.map(isUnavailable)).toEqual(Array(5).fill(true))
})

test('connections that are being given up, and hang, are none to wait for', async () => {
  await using line = await startForwarder(Number(new URL(database.url).port))
  await using pool = openPool(line.through(database.url), { size: 4, timeouts: { answer: 300 } })
  await pids(pool, 4)
  line.freeze()
  line.lead(undefined)
  await expect(pid(pool)).rejects.toThrow('Query read timeout')
  const before = line.connections()
  const started = performance.now()
  await expect(pid(pool)).rejects.toSatisfy(isUnavailable)
  expect(performance.now() - started).toBeLessThan(1000)
  expect(line.connections() - before).toBeLessThan(10)
})

test('a connection ends with its age, in use or not, and not all end at once', async () => {
  await using pool = openPool(database.url, { size: 8, timeouts: { age: 2000 } })
  const first = await pids(pool, 8)
  const left = async () => [...(await pids(pool, 8))].filter((each) => first.has(each)).length
  expect(await left()).toBe(8)
  await expect.poll(left, { interval: 20, timeout: 2500 }).toBeLessThan(8)
  expect(await left()).toBeGreaterThan(0)
  await expect.poll(left, { timeout: 2500 }).toBe(0)
})

test.each([1, 2, 3])(
  'the pools of a server leave each other a connection, however few there may be: %i',
  async (limit) => {
    const role = await createRole(database, `ALTER ROLE $role CONNECTION LIMIT ${limit}`)
    const { db, refreshDb, rotationDb, close } = await connectServer({ url: role.url, size: 10 })
    try {
      for (let turn = 0; turn < 2; turn++) {
        for (const one of [db, refreshDb, rotationDb]) expect((await pids({ db: one }, 4)).size).toBeGreaterThan(0)
      }
    } finally {
      await close()
    }
  },
)
