import { expect, inject, test, vi } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { authenticateToken } from '../../../src/tokens/refresh.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { compileOnce } from '../../support/compile-once.ts'
import { holdRow } from '../holds.ts'

/** Many sessions of one user, by their refresh tokens. */
async function sessions(t: TestApp, count: number): Promise<string[]> {
  const { email, password } = await t.signUp()
  const tokens: string[] = []
  while (tokens.length < count) tokens.push((await t.login({ email, password })).json().refresh_token as string)
  return tokens
}

/** Counts the statements that rotate. */
function watch(t: TestApp): { statements: number; largest: number } {
  const seen = { statements: 0, largest: 0 }
  t.deps.rotationDb = t.deps.rotationDb.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      // Each rotation that is made returns a row.
      seen.statements++
      seen.largest = Math.max(seen.largest, result.rows.length)
      return result
    },
  })
  return seen
}

const statusesOf = (answers: { statusCode: number }[]) => answers.map((answer) => answer.statusCode)

test('refreshes that come together go to the database together, and each gets its own successor', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  const tokens = await sessions(t, 40)
  const seen = watch(t)
  const answers = await Promise.all(tokens.map((token) => t.refresh(token)))
  expect(statusesOf(answers)).toEqual(Array(40).fill(200))
  expect(seen.largest).toBeGreaterThan(1)
  expect(seen.statements).toBeLessThan(20)
  const successors = answers.map((answer) => answer.json().refresh_token as string)
  expect(new Set(successors).size).toBe(40)
  // Each is the current one of its own family.
  expect(statusesOf(await Promise.all(successors.map((token) => t.refresh(token))))).toEqual(Array(40).fill(200))
})

test.skipIf(inject('citus'))('a batch is of one shard', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  // As if the database divided the families by the last digit of their ids.
  const shardOf = (id: string) => Number.parseInt(id.slice(-1), 16) % 4
  vi.spyOn(t.deps.shards, 'of').mockImplementation(shardOf)
  const tokens = await sessions(t, 40)
  const batches: string[][] = []
  t.deps.rotationDb = t.deps.rotationDb.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      batches.push(result.rows.map((row) => String(row.id)))
      return result
    },
  })
  const answers = await Promise.all(tokens.map((token) => t.refresh(token)))
  expect(statusesOf(answers)).toEqual(Array(40).fill(200))
  expect(batches.flat()).toHaveLength(40)
  for (const batch of batches) expect(new Set(batch.map(shardOf)).size).toBeLessThanOrEqual(1)
  expect(Math.max(...batches.map(({ length }) => length))).toBeGreaterThan(1)
})

test('a machine that answers nothing keeps the sessions of the others waiting for nothing', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  const shardOf = (id: string) => Number.parseInt(id.slice(-1), 16)
  const machineOf = (shard: number) => shard % 2
  const tokens = await sessions(t, 40)
  const held = Promise.withResolvers<void>()
  let holding = 0
  const rotationDb = t.deps.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      const isSilent = result.rows.some((row) => machineOf(shardOf(String(row.id))) === 0)
      if (isSilent && ++holding) await held.promise
      return result
    },
  })
  // As if sixteen shards lay on two machines.
  const shards = { ...t.deps.shards, isDivided: () => true, of: shardOf, machineOf }
  await using app = createApp({ ...t.deps, rotationDb, shards }, t.lifecycle).setSchemaController(compileOnce)
  const headers = { host: new URL(t.config.ISSUER).host }
  const refresh = async (token: string | undefined) =>
    (await app.inject({ method: 'POST', url: '/refresh', headers, payload: { refresh_token: token } })).statusCode
  const of = (machine: number) =>
    tokens.filter((token) => {
      const { family = '' } = authenticateToken(t.deps.serverKeys, token) ?? {}
      return machineOf(shardOf(family)) === machine
    })
  const silent = of(0).map(refresh)
  await expect.poll(() => holding).toBeGreaterThan(0)
  for (const token of of(1)) await expect.poll(() => refresh(token), { timeout: 10_000 }).toBe(200)
  held.resolve()
  for (const status of await Promise.all(silent)) expect(status).toBeOneOf([200, 503])
})

test('whatever is in a batch is judged by itself: a replay ends its own family and no other', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  const tokens = await sessions(t, 12)
  const [replayed = '', ended = '', foreign = '', narrow = '', unknown = '', ...good] = tokens
  const second = (await t.refresh(replayed)).json().refresh_token as string
  await t.refresh(second)
  await t.inject({
    method: 'POST',
    url: '/logout',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify({ refresh_token: ended }),
  })
  const answers = await Promise.all([
    ...good.map((token) => t.refresh(token)),
    t.refresh(replayed),
    t.refresh(ended),
    t.refresh(foreign, { body: { client_id: 'web' } }),
    t.refresh(narrow, { body: { scope: 'nothing-of-the-kind' } }),
    t.refresh(unknown, { via: 'cookie' }),
  ])
  expect(statusesOf(answers)).toEqual([...Array(good.length).fill(200), 401, 401, 401, 400, 401])
  const { live } = await t.db
    .selectFrom('families')
    .select((eb) => eb.fn.countAll<string>().as('live'))
    .where('ended_at', 'is', null)
    .executeTakeFirstOrThrow()
  // The twelve and the one of the sign-up, less the two that ended.
  expect(Number(live)).toBe(11)
})

test('a family that somebody holds makes nobody else in its batch wait', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  const [held = '', ...others] = await sessions(t, 10)
  // After the one of the sign-up.
  const first = await t.db.selectFrom('families').select('id').orderBy('created_at').offset(1).executeTakeFirstOrThrow()
  const hold = await holdRow(t.db, first.id)
  // Whoever comes first may go alone; the rest make up the next batch.
  const waiting = [t.refresh(others[0] ?? ''), t.refresh(held), ...others.slice(1).map((token) => t.refresh(token))]
  const served = await Promise.all(waiting.filter((_answer, index) => index !== 1))
  expect(statusesOf(served)).toEqual(Array(9).fill(200))
  await hold.release()
  expect((await waiting[1])?.statusCode).toBe(200)
})

test('two replicas that rotate the same families in opposite order neither deadlock nor fork', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  await using other = await createTestApp({ join: t })
  let tokens = await sessions(t, 24)
  for (let round = 0; round < 10; round++) {
    const [here, there] = await Promise.all([
      Promise.all(tokens.map((token) => t.refresh(token))),
      Promise.all(tokens.toReversed().map((token) => other.refresh(token))),
    ])
    expect(statusesOf([...here, ...there])).toEqual(Array(48).fill(200))
    const successors = here.map((answer) => answer.json().refresh_token as string)
    expect(there.map((answer) => answer.json().refresh_token as string).toReversed()).toEqual(successors)
    tokens = successors
  }
})

test('a batch whose fate is unknown is answered 503 to all, and every token is still good', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '100' } })
  const tokens = await sessions(t, 8)
  const working = t.deps.rotationDb
  t.deps.rotationDb = working.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: () => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNRESET' })),
  })
  const answers = await Promise.all(tokens.map((token) => t.refresh(token)))
  expect(statusesOf(answers)).toEqual(Array(8).fill(503))
  t.deps.rotationDb = working
  expect(statusesOf(await Promise.all(tokens.map((token) => t.refresh(token))))).toEqual(Array(8).fill(200))
})
