import { connect as connectSocket, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { connect } from '../../../src/db/connect.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { startForwarder } from '../../support/forwarder.ts'
import { holdConnections, holdRow } from '../holds.ts'
import {
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  post,
  refresh,
  register,
  restore,
  type SignedIn,
  signIn,
  startApp,
  stopClock,
} from '../support.ts'

// The time that a request waits in here is not its client's: neither its grace nor its idle time runs out meanwhile. None of
// these clients sends an Idempotency-Key, so the grace is all they have.

const GRACE = 10
const LONG = 60

const refusalsFor = ({ logs }: TestApp, reason: string): number =>
  logs.filter((line) => line.msg === 'request' && line.reason === reason).length

/** What its address may have is asked for now and then, over a connection; the next requests need not ask. */
async function takeAllowance(t: TestApp, session: SignedIn): Promise<void> {
  session.token = granted(await refresh(t, 'body', session.token))
}

/** Sends a refresh over a connection of its own, which can be closed before the answer. */
async function send(t: TestApp, token: string): Promise<Socket> {
  const url = new URL(await t.listen())
  const body = JSON.stringify({ refresh_token: token })
  const socket = connectSocket(Number(url.port), url.hostname)
  socket.write(
    `POST /refresh HTTP/1.1\r\nHost: ${new URL(t.config.ISSUER).host}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  return socket
}

/** Requests of one family that need a decision are decided in turn: one for another client is, and changes nothing. */
async function untilJudged(t: TestApp, { token }: SignedIn): Promise<void> {
  expectRefused(await post(t, '/refresh', { body: { refresh_token: token, client_id: 'web' } }))
  expect(refusalsFor(t, 'wrong_client')).toBe(1)
}

const generationOf = (token: string): number => Buffer.from(token.slice('rt1_'.length), 'base64url').readUInt32BE(17)

/** The successor was answered just now and is lost: a retry gets it for as long as the grace lasts, and no longer. */
async function expectWholeGrace(t: TestApp, session: SignedIn, successor: string): Promise<void> {
  t.travel(GRACE - 1)
  expect(granted(await refresh(t, 'body', session.token))).toBe(successor)
  t.travel(GRACE)
  expectRefused(await refresh(t, 'body', session.token))
  expect(await isLive(t, session.sid)).toBe(false)
}

describe('the grace begins with the answer, though the rotation waited', () => {
  test('for a row that somebody held', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    const held = await holdRow(t.db, session.sid)
    const answer = refresh(t, 'body', session.token)
    await sleep(100)
    t.travel(LONG)
    await held.release()
    await expectWholeGrace(t, session, granted(await answer))
  })

  test('for a connection', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    const held = await holdConnections(t)
    const answer = refresh(t, 'body', session.token)
    await sleep(50)
    t.travel(LONG)
    await held.release()
    await expectWholeGrace(t, session, granted(await answer))
  })

  test('for its commit, although another request of the family looks at the row when its time is moved', async () => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    const before = (await family(t, session.sid)).generation
    line.pause('toClient')
    const answer = refresh(t, 'body', session.token)
    await expect.poll(async () => (await family(t, session.sid)).generation).toBe(before + 1)
    const held = await holdRow(t.db, session.sid)
    t.travel(LONG)
    line.resume('toClient')
    await sleep(60)
    await held.release()
    granted(await answer)
    const { rotated_at: rotatedAt } = await family(t, session.sid)
    expect(t.deps.clock().getTime() - rotatedAt.getTime()).toBeLessThan(LONG * 500)
  })

  test('for its commit, alone or with others, on the hot path or the careful one', async () => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    const direct = connect({ url: t.databaseUrl, size: 1 }).db
    const user = await register(t)
    const ahead = await signIn(t, user)
    const others = [await signIn(t, user), await signIn(t, user)]
    // This one is rolled forward, which the careful path does.
    const before = await family(t, ahead.sid)
    ahead.token = granted(await refresh(t, 'body', ahead.token))
    await restore(t, before)

    for (const group of [[ahead], others]) {
      const generations = async () => {
        const rows = direct.selectFrom('families').select('generation').orderBy('id')
        return await rows
          .where(
            'id',
            'in',
            group.map(({ sid }) => sid),
          )
          .execute()
      }
      const generationsBefore = await generations()
      line.delay({ toClient: 100 })
      // So that they go together.
      const held = await holdConnections(t)
      const answers = group.map(({ token }) => refresh(t, 'body', token))
      await sleep(50)
      await held.release()
      while (!(await generations()).every((row, index) => row.generation > (generationsBefore[index]?.generation ?? 0)))
        await sleep(5)
      // The commit is made, and its confirmation on the way.
      t.travel(LONG)
      line.delay({})
      const successors = (await Promise.all(answers)).map(granted)
      t.travel(GRACE - 1)
      for (const [index, { token }] of group.entries()) {
        expect(granted(await refresh(t, 'body', token))).toBe(successors[index])
      }
    }
    await direct.destroy()
  })
})

describe('whoever was told to come back is still in time', () => {
  test('after a rotation of which nobody knew whether it was made', async () => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    const direct = connect({ url: t.databaseUrl, size: 1 }).db
    const session = await signIn(t, await register(t))
    const generation = async (): Promise<number> =>
      (await direct.selectFrom('families').select('generation').where('id', '=', session.sid).executeTakeFirstOrThrow())
        .generation
    // So that there is a connection.
    session.token = granted(await refresh(t, 'body', session.token))
    line.pause('toClient')
    const answer = refresh(t, 'body', session.token)
    while ((await generation()) === 1) await sleep(5)
    t.travel(LONG)
    line.cut()
    const { statusCode, headers } = await answer
    expect([statusCode, headers['retry-after']]).toEqual([503, '1'])
    line.resume()

    t.travel(GRACE - 1)
    const successor = granted(await refresh(t, 'body', session.token))
    expect(await generation()).toBe(2)
    granted(await refresh(t, 'body', successor))
    await direct.destroy()
  })

  test('however often, while the database is away', async () => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    const session = await signIn(t, await register(t))
    const successor = granted(await refresh(t, 'body', session.token))
    line.lead(undefined)
    line.cut()
    for (let i = 0; i < 20; i++) {
      t.travel(GRACE - 1)
      const answer = await refresh(t, 'body', session.token)
      expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
    }
    line.lead(Number(new URL(t.databaseUrl).port))
    t.travel(GRACE - 1)
    expect(granted(await refresh(t, 'body', session.token))).toBe(successor)
    // It has its answer, and the rest of its grace once: that does not slide.
    t.travel(GRACE)
    expectRefused(await refresh(t, 'body', session.token))
  })

  test('a copy that was first presented too late is not', async () => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    const session = await signIn(t, await register(t))
    granted(await refresh(t, 'body', session.token))
    t.travel(GRACE + 1)
    line.lead(undefined)
    line.cut()
    expect((await refresh(t, 'body', session.token)).statusCode).toBe(503)
    line.lead(Number(new URL(t.databaseUrl).port))
    expectRefused(await refresh(t, 'body', session.token))
  })

  test('because the family has retried too often', async () => {
    await using t = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '2' })
    const session = await signIn(t, await register(t))
    const successor = granted(await refresh(t, 'body', session.token))
    for (let i = 0; i < 2; i++) expect(granted(await refresh(t, 'body', session.token))).toBe(successor)
    t.travel(GRACE - 1)
    let answer = await refresh(t, 'body', session.token)
    let asked = 0
    while (answer.statusCode !== 200) {
      expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '1'])
      t.travel(1)
      expect(++asked).toBeLessThan(61)
      answer = await refresh(t, 'body', session.token)
    }
    expect(asked).toBeGreaterThan(GRACE)
    expect(granted(answer)).toBe(successor)
  })

  test('a retry that waited until the grace was over has the rest of it once more', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    const successor = granted(await refresh(t, 'body', session.token))
    t.travel(4)
    const held = await holdRow(t.db, session.sid)
    const answer = refresh(t, 'body', session.token)
    await sleep(100)
    t.travel(LONG)
    await held.release()
    expect(granted(await answer)).toBe(successor)
    t.travel(GRACE - 5)
    expect(granted(await refresh(t, 'body', session.token))).toBe(successor)
    t.travel(GRACE)
    expectRefused(await refresh(t, 'body', session.token))
  })
})

describe('whoever gave up an attempt that had to wait is still in time', () => {
  /** A retry waits for so long, its client hangs up, and asks again three seconds after its grace. @returns its session and the answers. */
  async function giveUp(t: TestApp, where: 'row' | 'connection', seconds: number) {
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    const travel = stopClock(t)
    const successor = granted(await refresh(t, 'body', session.token))
    travel(GRACE - seconds)
    const held = where === 'row' ? await holdRow(t.db, session.sid) : await holdConnections(t, { rotations: 0 })
    const socket = await send(t, session.token)
    await sleep(100)
    travel(seconds)
    socket.destroy()
    await sleep(100)
    await held.release()
    await untilJudged(t, session)
    travel(3)
    return { sid: session.sid, successor, answer: await refresh(t, 'body', session.token) }
  }

  test.each(['row', 'connection'] as const)('for a %s', async (where) => {
    await using t = await startApp()
    const { answer, successor } = await giveUp(t, where, 4)
    expect(granted(answer)).toBe(successor)
  })

  test('unless it hung up at once', async () => {
    await using t = await startApp()
    const { answer, sid } = await giveUp(t, 'row', 0.2)
    expectRefused(answer)
    expect(await isLive(t, sid)).toBe(false)
  })
})

describe('a thief with a copy gains no more than that', () => {
  test('the rest of a grace runs out, however often the copy is presented', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    granted(await refresh(t, 'body', session.token))
    t.travel(4)
    const held = await holdRow(t.db, session.sid)
    const answer = refresh(t, 'body', session.token)
    await sleep(100)
    t.travel(2)
    await held.release()
    granted(await answer)
    let answers = 0
    while ((await refresh(t, 'body', session.token)).statusCode === 200 && answers++ < 20) t.travel(1)
    expect(answers).toBeLessThanOrEqual(GRACE)
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test('being refused for his own limit makes a copy no older than it is', async () => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '2', TRUSTED_PROXIES: '127.0.0.1' })
    const session = await signIn(t, await register(t))
    const from = (address: string, token: string) =>
      refresh(t, 'body', token, { headers: { 'x-forwarded-for': address } })
    for (let i = 0; i < 2; i++) expectRefused(await from('203.0.113.66', 'garbage'))
    // Still the current one: nothing is used up.
    expect((await from('203.0.113.66', session.token)).statusCode).toBe(429)
    granted(await from('203.0.113.1', session.token))
    t.travel(GRACE + 1)
    expectRefused(await from('203.0.113.2', session.token))
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test('an idle session is over, however often it was told to come back', async () => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '1', REMEMBER_IDLE_SECONDS: '100' })
    const session = await signIn(t, await register(t))
    for (let i = 0; i < 20; i++) {
      t.travel(9)
      await refresh(t, 'body', 'garbage')
      expect((await refresh(t, 'body', session.token)).statusCode).not.toBe(200)
    }
  })
})

describe('over the limit of the client’s address', () => {
  /** Uses the limit up with what is not ours. */
  async function exhaust(t: TestApp): Promise<void> {
    for (let i = 0; i < t.config.RATE_LIMIT_REFRESH_PER_MINUTE; i++) expectRefused(await refresh(t, 'body', 'garbage'))
    expect((await refresh(t, 'body', 'garbage')).statusCode).toBe(429)
  }
  const waitOf = async (answer: ReturnType<typeof refresh>): Promise<number> => {
    const { statusCode, headers } = await answer
    expect(statusCode).toBe(429)
    return Number(headers['retry-after'])
  }

  test('a retry is answered, a rotation refused with nothing used up', async () => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '4' })
    const session = await signIn(t, await register(t))
    const successor = granted(await refresh(t, 'body', session.token))
    t.travel(61)
    const last = granted(await refresh(t, 'body', successor))
    for (let i = 0; i < 3; i++) expectRefused(await refresh(t, 'body', 'garbage'))
    expect(granted(await refresh(t, 'body', successor))).toBe(last)
    expect(await waitOf(refresh(t, 'body', last))).toBeGreaterThan(1)
    expect(await family(t, session.sid)).toMatchObject({ generation: 2, ended_at: null })
    t.travel(61)
    granted(await refresh(t, 'body', last))
  })

  test('a replay still ends its family', async () => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '2' })
    const session = await signIn(t, await register(t))
    granted(await refresh(t, 'body', granted(await refresh(t, 'body', session.token))))
    expectRefused(await refresh(t, 'body', session.token))
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test('no more is asked of the database than the family may ask', async () => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '20', RATE_LIMIT_FAMILY_PER_MINUTE: '3' })
    const session = await signIn(t, await register(t))
    await exhaust(t)
    const waits: number[] = []
    while (waits.length < 8) waits.push(await waitOf(refresh(t, 'body', session.token)))
    expect(waits.map((wait) => wait > 1)).toEqual([true, true, true, false, false, false, false, false])
    expect(waits.slice(3)).toEqual(Array(5).fill(1))
  })

  test('nor than the address may ask once more, whosever tokens it has', async () => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '3' })
    const user = await register(t)
    const sessions: SignedIn[] = []
    while (sessions.length < 5) sessions.push(await signIn(t, user))
    await exhaust(t)
    const waits: number[] = []
    for (const { token } of sessions) waits.push(await waitOf(refresh(t, 'body', token)))
    expect(waits.map((wait) => wait > 1)).toEqual([true, true, true, false, false])
    for (const { token } of sessions) {
      t.travel(61)
      granted(await refresh(t, 'body', token))
    }
  })
})

describe('the queue of rotations', () => {
  test('is bounded: whoever comes when it is full is told to come back, with nothing used up', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    const held = await holdConnections(t)
    const answers = Array.from({ length: 1100 }, () => refresh(t, 'body', session.token))
    const first = await Promise.race(answers)
    expect([first.statusCode, first.headers['retry-after']]).toEqual([503, '1'])
    expect((await family(t, session.sid)).generation).toBe(1)
    await held.release()
    const statuses = (await Promise.all(answers)).map(({ statusCode }) => statusCode)
    // How many have waited too long by now depends on the machine.
    expect(statuses.every((status) => status === 200 || status === 503)).toBe(true)
    expect(refusalsFor(t, 'too many wait to rotate')).toBe(1100 - 1024)
    granted(await refresh(t, 'body', session.token))
    expect(await family(t, session.sid)).toMatchObject({ generation: 2, ended_at: null })
  })

  test('is bounded by age: nobody waits for a connection that does not come, and nothing is used up', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    const held = await holdConnections(t)
    const answer = await refresh(t, 'body', session.token)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
    await held.release()
    expect((await family(t, session.sid)).generation).toBe(0)
    granted(await refresh(t, 'body', session.token))
  })

  test('nobody waits longer because the statement before theirs does not return', async () => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    const user = await register(t)
    const first = await signIn(t, user)
    let second = await signIn(t, user)
    // On a cluster, those of one shard wait for each other.
    const shardOf = ({ sid }: typeof first) => t.deps.shards.of(sid)
    while (shardOf(second) !== shardOf(first)) second = await signIn(t, user)
    const token = granted(await refresh(t, 'body', first.token))
    line.pause('toClient')
    const answers = [refresh(t, 'body', token)]
    await sleep(20)
    answers.push(refresh(t, 'body', second.token))
    for (const { statusCode } of await Promise.all(answers)) expect(statusCode).toBe(503)
    expect(refusalsFor(t, 'waited too long to rotate')).toBe(1)
    line.resume()
    granted(await refresh(t, 'body', second.token))
  })

  test.each(['hot', 'careful'])('makes no token for a client that has hung up (%s path)', async (path) => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    const held = path === 'hot' ? await holdConnections(t) : await holdRow(t.db, session.sid)
    const socket = await send(t, session.token)
    await sleep(150)
    socket.destroy()
    await sleep(50)
    await held.release()
    // Whatever was under way has had its turn.
    await sleep(100)
    expect((await family(t, session.sid)).generation).toBe(1)
    granted(await refresh(t, 'body', session.token))
    expect(await family(t, session.sid)).toMatchObject({ generation: 2, retried: false })
  })
})

test('a database that stands still is 503 soon, for whoever comes first and for those behind', async () => {
  await using line = await startForwarder()
  await using t = await createTestApp({ line })
  const user = await register(t)
  const sessions = [await signIn(t, user), await signIn(t, user), await signIn(t, user)]
  for (const session of sessions) session.token = granted(await refresh(t, 'body', session.token))
  line.pause()
  const started = performance.now()
  const answers = await Promise.all(sessions.map(({ token }) => refresh(t, 'body', token)))
  // Twice what anything waits for the database, and some for a busy machine.
  expect(performance.now() - started).toBeLessThan(5000)
  for (const { statusCode, headers } of answers) expect([statusCode, headers['retry-after']]).toEqual([503, '1'])
  line.resume()
  for (const { token } of sessions) granted(await refresh(t, 'body', token))
})

test('rotations go on while whatever else refreshes need is taken', async () => {
  await using t = await startApp()
  const session = await signIn(t, await register(t))
  await takeAllowance(t, session)
  const held = await holdConnections(t, { rotations: 0 })
  granted(await refresh(t, 'body', session.token))
  await held.release()
})

describe('a request that waits in here while the tokens after its own are used', () => {
  /** Sends the previous token, which waits for a connection, and uses its successor meanwhile, and so on. */
  async function overtake(t: TestApp, session: SignedIn, options: { key?: string } = {}, rotations = 1) {
    await takeAllowance(t, session)
    let current = granted(await refresh(t, 'body', session.token, options))
    const held = await holdConnections(t, { rotations: 0 })
    const waiting = refresh(t, 'body', session.token, options)
    await sleep(50)
    for (let i = 0; i < rotations; i++) current = granted(await refresh(t, 'body', current))
    await held.release()
    return { answer: await waiting, current }
  }

  test.each([
    { grace: '10', options: {} },
    { grace: '0', options: { key: 'attempt-1' } },
  ])('is told to come back, and ends nothing (grace $grace)', async ({ grace, options }) => {
    await using t = await startApp({ REFRESH_GRACE_SECONDS: grace })
    const session = await signIn(t, await register(t))
    const { answer, current } = await overtake(t, session, options)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '1'])
    expect(refusalsFor(t, 'overtaken')).toBe(1)
    const next = granted(await refresh(t, 'body', current))
    // Once it is known that its successor has been used, it is what it always was.
    expectRefused(await refresh(t, 'body', session.token, options))
    expectRefused(await refresh(t, 'body', next))
    expect(await eventsOf(t, session.sid)).toContain('refresh.reuse_detected older_generation')
  })

  test('however many are used', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    const { answer, current } = await overtake(t, session, {}, 5)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '1'])
    granted(await refresh(t, 'body', current))
  })

  test('ends the family if it was old when it arrived', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    const older = session.token
    await takeAllowance(t, session)
    const current = granted(await refresh(t, 'body', session.token))
    const held = await holdConnections(t, { rotations: 0 })
    const waiting = refresh(t, 'body', older)
    await sleep(50)
    granted(await refresh(t, 'body', current))
    await held.release()
    expectRefused(await waiting)
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test.each(['row', 'connection'])(
    'ends the family if it was old when it arrived, though its sender hung up while it waited for a %s',
    async (where) => {
      await using t = await startApp()
      const session = await signIn(t, await register(t))
      const older = session.token
      await takeAllowance(t, session)
      granted(await refresh(t, 'body', session.token))
      const held = where === 'row' ? await holdRow(t.db, session.sid) : await holdConnections(t, { rotations: 0 })
      const socket = await send(t, older)
      await sleep(100)
      socket.destroy()
      await sleep(100)
      await held.release()
      await expect.poll(() => isLive(t, session.sid)).toBe(false)
    },
  )

  test('ends the family if the newer one was here before it, and waited as well', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    const current = granted(await refresh(t, 'body', session.token))
    const held = await holdConnections(t)
    const answers = [refresh(t, 'body', current), refresh(t, 'body', session.token)] as const
    await sleep(50)
    await held.release()
    granted(await answers[0])
    expectRefused(await answers[1])
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test('ends the family if it only seems to have waited, because the process stood still before it came', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    const successor = granted(await refresh(t, 'body', session.token))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
    granted(await refresh(t, 'body', successor))
    expectRefused(await refresh(t, 'body', session.token))
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test('of several tabs that refresh without a pause, over two replicas, ends nothing', async () => {
    await using t = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '10000', RATE_LIMIT_REFRESH_PER_MINUTE: '100000' })
    await using other = await createTestApp({ join: t })
    const user = await register(t)
    for (let round = 0; round < 5; round++) {
      const session = await signIn(t, user)
      // Both have seen the family.
      const token = granted(await refresh(other, 'body', granted(await refresh(t, 'body', session.token))))
      // Answers may come out of order, which is not the server's doing: the tabs keep the newest.
      let [newest, heard] = [token, 0]
      const tab = async (): Promise<void> => {
        for (let i = 0; i < 12; i++) {
          const answer = await refresh(i % 2 ? other : t, 'body', newest)
          if (answer.statusCode === 429) continue
          const [successor, number] = [granted(answer), generationOf(granted(answer))]
          if (number > heard) [newest, heard] = [successor, number]
        }
      }
      await Promise.all([tab(), tab(), tab()])
    }
  }, 60_000)

  test('ends the family where it could never have been a retry', async () => {
    await using t = await startApp({ REFRESH_GRACE_SECONDS: '0' })
    const session = await signIn(t, await register(t))
    const { answer } = await overtake(t, session)
    expectRefused(answer)
    expect(await isLive(t, session.sid)).toBe(false)
  })

  test('ends nothing once its client has hung up, however far the tokens have gone on', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    let current = granted(await refresh(t, 'body', session.token))
    const held = await holdConnections(t, { rotations: 0 })
    const socket = await send(t, session.token)
    await sleep(100)
    socket.destroy()
    for (let i = 0; i < 2; i++) current = granted(await refresh(t, 'body', current))
    await held.release()
    await untilJudged(t, session)
    granted(await refresh(t, 'body', current))
  })

  test('ends nothing once its client has hung up, though there is no grace', async () => {
    await using t = await startApp({ REFRESH_GRACE_SECONDS: '0' })
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    // Passed over by the hot path, it then waits for a connection.
    const [row, held] = [await holdRow(t.db, session.sid), await holdConnections(t, { rotations: 0 })]
    const socket = await send(t, session.token)
    await sleep(100)
    await row.release()
    socket.destroy()
    const successor = granted(await refresh(t, 'body', session.token))
    await held.release()
    await untilJudged(t, session)
    granted(await refresh(t, 'body', successor))
  })

  test('no longer waits for the row when its client has hung up', async () => {
    await using t = await startApp()
    const session = await signIn(t, await register(t))
    await takeAllowance(t, session)
    // Each ends with a rollback, because the row is locked.
    const lastLook = async () => {
      const { rows } = await sql<{ at: Date | null }>`
        SELECT max(query_start) AS at FROM pg_stat_activity
        WHERE datname = current_database() AND query ILIKE ${'rollback%'}`.execute(t.db)
      return rows[0]?.at
    }
    const held = await holdRow(t.db, session.sid)
    try {
      const socket = await send(t, session.token)
      await sleep(100)
      const first = await lastLook()
      await expect.poll(lastLook).not.toEqual(first)
      socket.destroy()
      await sleep(100)
      const last = await lastLook()
      await sleep(200)
      expect(await lastLook()).toEqual(last)
    } finally {
      await held.release()
    }
  })
})

describe('one held row', () => {
  test('delays no other family, though it goes to the database alone', async () => {
    await using t = await startApp()
    const user = await register(t)
    const first = await signIn(t, user)
    const others = [await signIn(t, user), await signIn(t, user)]
    const held = await holdRow(t.db, first.sid)
    let settled = false
    const waiting = refresh(t, 'body', first.token).finally(() => {
      settled = true
    })
    await sleep(20)
    for (const { token } of others) granted(await refresh(t, 'body', token))
    // Also those that need the careful path.
    for (const { token } of others) granted(await refresh(t, 'body', token))
    expect(settled).toBe(false)
    await held.release()
    granted(await waiting)
  })

  test('nor do many of them, each wanted by many', async () => {
    await using t = await startApp()
    const user = await register(t)
    const sessions: SignedIn[] = []
    while (sessions.length < 6) sessions.push(await signIn(t, user))
    const [other, ...held] = sessions as [SignedIn]
    const successor = granted(await refresh(t, 'body', other.token))
    const holds = await Promise.all(held.map(({ sid }) => holdRow(t.db, sid)))
    const waiting = held.flatMap(({ token }) => Array.from({ length: 10 }, () => refresh(t, 'body', token)))
    await sleep(100)
    expect(granted(await refresh(t, 'body', other.token))).toBe(successor)
    granted(await refresh(t, 'body', successor))
    await Promise.all(holds.map(({ release }) => release()))
    for (const answer of await Promise.all(waiting)) granted(answer)
  })
})
