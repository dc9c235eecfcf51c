import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import { NotDelivered, Undeliverable } from '../../src/outbox/failure.ts'
import { enqueue } from '../../src/outbox/outbox.ts'
import { pruneOutbox } from '../../src/outbox/pruning.ts'
import { takeDue } from '../../src/outbox/queries.ts'
import { createTestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { enqueueNote, receiver, rows } from './support.ts'

const secret = (name: string): string => createHash('sha256').update(`outbox ${name}`).digest('base64')

test('what is enqueued is delivered once, by a role that owns nothing, and leaves no row', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'hello')
  const { received, handlers } = receiver()
  await t.deliver(handlers)
  await t.deliver(handlers)
  expect(received).toEqual([{ text: 'hello', id: expect.any(String), number: 1, enqueuedAt: expect.any(Date) }])
  expect(await rows(t)).toEqual([])
})

test('what another worker is taking at this moment is passed over, and not taken once it has been', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'hello')
  const now = t.deps.clock()
  const due = { rooms: [{ kind: 'note', most: 4 }], until: new Date(now.getTime() + 60_000) }
  const [first, second] = await t.deps.db.transaction().execute(async (tx) => {
    const taken = await takeDue(tx, now, due)
    const meanwhile = takeDue(t.deps.db, now, due)
    // Whoever waited for the row would take it too.
    return [taken, await Promise.race([meanwhile, sleep(3000, 'it waits' as const)])]
  })
  expect(first?.taken).toHaveLength(1)
  expect(second).toMatchObject({ taken: [] })
})

test('what is rolled back is not delivered', async () => {
  await using t = await createTestApp()
  const undone = transact(t.deps.db, async (tx) => {
    await enqueue(tx, t.deps, t.deps.clock(), { kind: 'note', payload: { text: 'never' } })
    throw new Error('changed my mind')
  })
  await expect(undone).rejects.toThrow('changed my mind')
  expect(await rows(t)).toEqual([])
})

test('a failed delivery is tried again with the same id, later each time', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'hello')
  const { received, handlers } = receiver((_, { number }) => {
    if (number < 4) throw new NotDelivered('4.7.1 come back later')
  })
  const waits: number[] = []
  for (let attempt = 1; attempt <= 3; attempt++) {
    await t.deliver(handlers)
    const [row] = await rows(t)
    expect(row).toMatchObject({
      attempts: attempt,
      last_failure: '4.7.1 come back later',
      taken_at: null,
      dead_at: null,
    })
    waits.push(((row?.due_at.getTime() ?? 0) - t.deps.clock().getTime()) / 1000)
    t.travel((waits.at(-1) ?? 0) - 0.5)
    await t.deliver(handlers)
    expect(received).toHaveLength(attempt)
    t.travel(1)
  }
  await t.deliver(handlers)
  expect(await rows(t)).toEqual([])
  expect(received.map(({ number }) => number)).toEqual([1, 2, 3, 4])
  expect(new Set(received.map(({ id, enqueuedAt }) => `${id} ${enqueuedAt.getTime()}`)).size).toBe(1)
  expect(waits.map((wait, n) => wait / 10 / 2 ** n).every((part) => part > 0.7 && part <= 1.2)).toBe(true)
})

test('a refusal for good is a dead letter, told in log, trail and metrics without what it carried', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'for nobody')
  const { received, handlers } = receiver(() => {
    throw new Undeliverable('5.1.1 no such mailbox')
  })
  await t.deliver(handlers)
  t.travel(86_400)
  await t.deliver(handlers)
  expect(received).toHaveLength(1)
  const [row] = await rows(t)
  expect(row).toMatchObject({ last_failure: '5.1.1 no such mailbox', dead_at: expect.any(Date) })
  expect(await t.db.selectFrom('audit').where('type', '=', 'delivery.dead').selectAll().execute()).toMatchObject([
    { outcome: 'failure', reason: 'undeliverable', details: { delivery: row?.id, kind: 'note', attempts: 1 } },
  ])
  expect(t.logs.filter(({ level }) => level === 'error')).toMatchObject([
    { msg: 'a delivery was given up', delivery: row?.id, kind: 'note', attempt: 1, reason: '5.1.1 no such mailbox' },
  ])
  expect(await t.deps.metrics.deliveries.get()).toMatchObject({
    values: [{ labels: { kind: 'note', outcome: 'dead' }, value: 1 }],
  })
})

test('of an error that nobody put into words only the code is kept: its message may hold an address', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'hello')
  const refused = Object.assign(new Error('550 <somebody@example.com> is unknown'), { code: 'EENVELOPE' })
  await t.deliver(receiver(() => Promise.reject(refused)).handlers)
  expect(await rows(t)).toMatchObject([{ last_failure: 'EENVELOPE' }])
})

test('dead letters are kept for 30 days, and nothing else is pruned', async () => {
  await using t = await createTestApp()
  const prune = () => pruneOutbox.remove(t.deps.db, t.deps.clock(), 1000)
  await enqueueNote(t, 'dead')
  await t.deliver({ note: () => Promise.reject(new Undeliverable('no')) })
  await enqueueNote(t, 'waits', 'errand')
  t.travel(30 * 86_400 - 5)
  expect(await prune()).toBe(0)
  t.travel(10)
  expect(await prune()).toBe(1)
  expect(await rows(t)).toMatchObject([{ kind: 'errand' }])
})

test.each([
  ['has delivered it', undefined],
  ['has failed', new NotDelivered('late')],
  ['was refused for good', new Undeliverable('late')],
])('what is taken is nobody else’s until the lease ends, then only theirs: the first one %s', async (_what, error) => {
  await using t = await createTestApp()
  await enqueueNote(t, 'slow')
  const first = Promise.withResolvers<void>()
  const slow = receiver(() => first.promise)
  const delivering = t.deliver(slow.handlers)
  await expect.poll(() => slow.received).toHaveLength(1)

  const other = receiver(() => {
    throw new NotDelivered('busy')
  })
  t.travel(110)
  await t.deliver(other.handlers)
  expect(other.received).toEqual([])
  t.travel(11)
  await t.deliver(other.handlers)
  expect(other.received).toEqual([{ ...slow.received[0], number: 2 }])

  // The first one comes back: the delivery is not its own any more.
  const before = await rows(t)
  expect(before).toMatchObject([{ attempts: 2, last_failure: 'busy' }])
  if (error) first.reject(error)
  else first.resolve()
  await delivering
  expect(await rows(t)).toEqual(before)
})

test('a receiver that does not answer is waited for no longer than a minute, and told so', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'hello')
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  const waiting = vi.spyOn(AbortSignal, 'timeout').mockImplementationOnce(() => timeout(50))
  const signals: AbortSignal[] = []
  await t.deliver(receiver((_, { signal }) => new Promise(() => void signals.push(signal))).handlers)
  expect(waiting.mock.calls).toEqual([[60_000]])
  waiting.mockRestore()
  expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  expect(await rows(t)).toMatchObject([{ attempts: 1, last_failure: 'not done within 60 s', taken_at: null }])
})

test('twenty workers at once never hand over the same', async () => {
  await using t = await createTestApp()
  for (let n = 0; n < 60; n++) await enqueueNote(t, String(n))
  const { texts, handlers } = receiver(() => new Promise((resolve) => setTimeout(resolve, 5)))
  await atOnce(20, () => t.deliver(handlers))
  expect(texts().toSorted()).toEqual([...new Set(texts())].toSorted())
  expect(texts()).toHaveLength(60)
})

test('a delivery whose attempts all died with their servers is given up', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'kills')
  await t.db.updateTable('outbox').set({ attempts: 25 }).execute()
  const { received, handlers } = receiver()
  await t.deliver(handlers)
  expect(received).toEqual([])
  expect(await rows(t)).toMatchObject([{ last_failure: 'no attempt came to its end', dead_at: expect.any(Date) }])
})

test('a kind that only a newer version knows waits for a server that does', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'hello', 'errand')
  const { received, handlers } = receiver()
  await t.deliver({ note: handlers.note ?? expect.unreachable() })
  expect(await rows(t)).toMatchObject([{ attempts: 0 }])
  await t.deliver(handlers)
  expect(received).toHaveLength(1)
})

test('a dump shows what kind of thing is to be delivered, and nothing of it', async () => {
  await using t = await createTestApp()
  const text = 'somebody@example.com may use https://auth.example.com/account/reset#token=secret'
  await enqueueNote(t, text)
  const [row] = await rows(t)
  const dump = Buffer.concat([Buffer.from(JSON.stringify(row)), row?.sealed_payload ?? Buffer.of()]).toString('latin1')
  expect(dump).toContain('note')
  for (const word of ['somebody', 'example', 'token', 'secret', 'text']) expect(dump).not.toContain(word)
  await enqueueNote(t, text)
  const [one, other] = await rows(t)
  expect(one?.sealed_payload).not.toEqual(other?.sealed_payload)
})

test.each([
  [
    'of another delivery',
    async (t: Parameters<typeof rows>[0]) => {
      const [, second] = await rows(t)
      const sealed_payload = second?.sealed_payload ?? Buffer.of()
      await t.db
        .updateTable('outbox')
        .set({ sealed_payload })
        .where('id', '<>', second?.id ?? '')
        .execute()
    },
  ],
  ['as another kind', (t: Parameters<typeof rows>[0]) => t.db.updateTable('outbox').set({ kind: 'errand' }).execute()],
])('a payload is not opened %s', async (_, tamper) => {
  await using t = await createTestApp()
  await enqueueNote(t, 'first')
  await enqueueNote(t, 'second')
  await tamper(t)
  const { texts, handlers } = receiver()
  await t.deliver(handlers)
  expect(texts()).not.toContain('first')
  expect((await rows(t))[0]).toMatchObject({ last_failure: 'no entry of CLAVIGER_SECRET opens it' })
})

test('across a change of CLAVIGER_SECRET nothing is lost, whichever replica takes it', async () => {
  await using old = await createTestApp({ env: { CLAVIGER_SECRET: secret('old') } })
  await enqueueNote(old, 'under the old entry')
  await using next = await createTestApp({ join: old, env: { CLAVIGER_SECRET: `${secret('new')},${secret('old')}` } })
  await enqueueNote(next, 'under the new entry')

  const { texts, handlers } = receiver()
  await old.deliver(handlers)
  expect(texts()).toEqual(['under the old entry'])
  expect(await rows(old)).toMatchObject([{ attempts: 1, dead_at: null }])
  await enqueueNote(old, 'again under the old entry')
  old.travel(15)
  await next.deliver(handlers)
  expect(texts().slice(1).toSorted()).toEqual(['again under the old entry', 'under the new entry'])
  expect(await rows(old)).toEqual([])
})

test('what was sealed under an entry that nobody has is a dead letter after an hour, and says so', async () => {
  await using old = await createTestApp({ env: { CLAVIGER_SECRET: secret('old') } })
  await enqueueNote(old, 'lost')
  // The signing key, too, was sealed under the entry that is gone.
  await old.db.deleteFrom('signing_keys').execute()
  await using t = await createTestApp({ join: old, env: { CLAVIGER_SECRET: secret('new') } })
  const { received, handlers } = receiver()
  let attempts = 0
  for (; attempts < 20 && (await rows(t))[0]?.dead_at === null; attempts++) {
    await t.deliver(handlers)
    t.travel(((await rows(t))[0]?.due_at.getTime() ?? 0) / 1000 - t.deps.clock().getTime() / 1000 + 0.1)
  }
  expect(attempts).toBeLessThan(12)
  expect(received).toEqual([])
  expect(await rows(t)).toMatchObject([{ last_failure: 'no entry of CLAVIGER_SECRET opens it' }])
  expect(await t.db.selectFrom('audit').where('type', '=', 'delivery.dead').select('reason').execute()).toEqual([
    { reason: 'unreadable' },
  ])
})
