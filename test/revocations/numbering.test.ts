import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { expect, test, vi } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import { append } from '../../src/revocations/append.ts'
import { granted, refresh, register, signIn, startApp } from '../sessions/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { startForwarder } from '../support/forwarder.ts'
import { byOperator } from '../support/operation.ts'
import { openStream, readList, revokeSessions, type StreamReader, verified } from './support.ts'

interface Heard {
  seq: number
  sid: string
}

/** Everything that a reader of the stream has been sent. */
async function heardBy(t: TestApp, stream: StreamReader): Promise<Heard[]> {
  const sent = stream.events.filter(({ event }) => event === 'revocation')
  return await Promise.all(
    sent.map(async ({ data }) => (await verified<{ revocation: Heard }>(t, data, 'secevent+jwt')).revocation),
  )
}

/** Asks for what is new, until it is told to stop and has what there is. */
async function poll(t: TestApp, until: Promise<unknown>): Promise<Heard[]> {
  const heard: Heard[] = []
  let over = false
  void until.then(() => {
    over = true
  })
  const { epoch } = await readList(t)
  for (let at = 0; ; ) {
    const { revocations } = await readList(t, `${epoch}.${at}`)
    const news = revocations.flatMap(({ seq, sid }) => (seq > at && sid ? [{ seq, sid }] : []))
    heard.push(...news)
    at = news.at(-1)?.seq ?? at
    if (over && at === t.deps.feed.held.position().seq) return heard
    // A part is signed once a second.
    if (news.length === 0) await sleep(200)
  }
}

test('whatever the order in which transactions commit, no reader skips one, hears it twice or out of order', async () => {
  await using t = await createTestApp()
  await using other = await createTestApp({ join: t })
  const streams = await Promise.all([t, other].map(async (each) => await openStream(await each.listen())))
  await Promise.all(streams.map((stream) => stream.next('heartbeat')))

  const committed: string[] = []
  const work = async (replica: TestApp): Promise<void> => {
    for (let n = 0; n < 12; n++) {
      const sids = Array.from({ length: randomInt(1, 4) }, () => crypto.randomUUID())
      const failure = new Error('rolled back')
      const done = transact(t.db, async (tx) => {
        const what = sids.map((sid) => ({ kind: 'session', sid, userId: crypto.randomUUID() }) as const)
        await append(tx, replica.deps, byOperator(t.deps), what)
        // Commits late, after others that began later.
        await sleep(randomInt(60))
        if (n % 5 === 4) throw failure
      })
      await done.then(
        () => committed.push(...sids),
        (error: unknown) => expect(error).toBe(failure),
      )
    }
  }
  const all = Promise.all([t, other, t, other, t, other, t, other].map(work))
  const heardByAll = all.then(() =>
    vi.waitFor(
      () => {
        for (const each of [t, other]) expect(each.deps.feed.held.position().seq).toBe(committed.length)
      },
      { timeout: 5000 },
    ),
  )
  const polls = Promise.all([poll(t, heardByAll), poll(other, heardByAll)])
  await heardByAll
  expect(committed.length).toBeGreaterThan(80)
  await vi.waitFor(
    () => {
      for (const { events } of streams)
        expect(events.filter(({ event }) => event === 'revocation')).toHaveLength(committed.length)
    },
    { timeout: 5000 },
  )
  for (const heard of [...(await Promise.all(streams.map((stream) => heardBy(t, stream)))), ...(await polls)]) {
    expect(heard.map(({ seq }) => seq)).toEqual(committed.map((_, index) => index + 1))
    expect(heard.map(({ sid }) => sid).toSorted()).toEqual(committed.toSorted())
  }
  for (const stream of streams) await stream[Symbol.asyncDispose]()
})

test('what was revoked by another process is numbered within moments while somebody listens', async () => {
  await using t = await createTestApp()
  await using stream = await openStream(await t.listen())
  await stream.next('heartbeat')
  const id = crypto.randomUUID()
  // As a command does, whose bell nobody hears here.
  await sql`INSERT INTO revocations (id, kind, sub, initiator, revoked_at) VALUES (${id}, 'subject', ${id}, 'admin', now())`.execute(
    t.db,
  )
  const { data } = await stream.next('revocation')
  expect(await verified(t, data, 'secevent+jwt')).toMatchObject({ revocation: { seq: 1, sub: id } })
})

test('a server that hangs while it numbers is left alone, and nobody claims to know everything meanwhile', async () => {
  await using t = await createTestApp()
  await t.deps.feed.look()
  const before = t.deps.feed.held.asOf()
  const hanging = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const holder = t.db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(hashtext('claviger/revocations'))`.execute(tx)
    locked.resolve()
    await hanging.promise
  })
  await locked.promise
  await sql`
    INSERT INTO revocations (id, kind, initiator, revoked_at) SELECT gen_random_uuid(), 'all', 'admin', now()`.execute(
    t.db,
  )
  await t.deps.feed.look()
  expect([t.deps.feed.held.asOf(), t.deps.feed.held.position().seq]).toEqual([before, 0])
  hanging.resolve()
  await holder
  await t.deps.feed.look()
  expect(t.deps.feed.held.position().seq).toBe(1)
  expect(t.deps.feed.held.asOf()?.getTime()).toBeGreaterThan(before?.getTime() ?? 0)
})

test('the view keeps up although more is revoked between any numbering and the reading after it', async () => {
  await using line = await startForwarder()
  await using t = await createTestApp({ line })
  await t.deps.feed.look()
  line.delay({ toServer: 10, toClient: 10 })
  // The look before the delay may have taken less than the millisecond that moments are told apart by.
  await sleep(2)
  let over = false
  const revoking = (async () => {
    while (!over) await revokeSessions({ ...t, deps: { ...t.deps, db: t.db } }, 1)
  })()
  for (let look = 0; look < 5; look++) {
    const before = t.deps.feed.held.asOf()?.getTime() ?? 0
    await t.deps.feed.look()
    expect(t.deps.feed.held.asOf()?.getTime()).toBeGreaterThan(before)
  }
  over = true
  await revoking
})

test('sessions are refreshed while tens of thousands of revocations are numbered', async () => {
  await using t = await startApp()
  const session = await signIn(t, await register(t))
  const url = await t.listen()
  await sql`
    INSERT INTO revocations (id, kind, sid, sub, initiator, revoked_at)
    SELECT gen_random_uuid(), 'session', gen_random_uuid(), gen_random_uuid(), 'admin', now()
    FROM generate_series(1, 20000)`.execute(t.db)
  await using stream = await openStream(url)
  let { token } = session
  let refreshed = 0
  while (t.deps.feed.held.position().seq < 20_000) {
    token = granted(await refresh(t, 'body', token))
    refreshed++
  }
  expect(refreshed).toBeGreaterThan(5)
  const { rows } = await sql<{ count: number; highest: number; distinct: number }>`
    SELECT count(*)::int, max(seq)::int AS highest, count(DISTINCT seq)::int AS distinct FROM revocations`.execute(t.db)
  expect(rows).toEqual([{ count: 20_000, highest: 20_000, distinct: 20_000 }])
  await stream.next('reset')
})
