import { expect, test } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import { enqueue, type Handlers } from '../../src/outbox/outbox.ts'
import { startWorker, type Worker } from '../../src/outbox/worker.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { startForwarder } from '../support/forwarder.ts'
import { enqueueNote, receiver, rows } from './support.ts'

/** Stops before the app does, if the test has not stopped it. */
function start(t: TestApp, handlers: Handlers): Worker & AsyncDisposable {
  const worker = startWorker(t.deps, handlers)
  return { ...worker, [Symbol.asyncDispose]: () => worker.stop(0) }
}

test('what is enqueued goes out once it is committed, and not before', async () => {
  await using t = await createTestApp()
  const { received, handlers } = receiver()
  await using _ = start(t, handlers)
  await transact(t.deps.db, async (tx) => {
    await enqueue(tx, t.deps, t.deps.clock(), { kind: 'note', payload: { text: 'hello' } })
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(received).toEqual([])
  })
  // The next look would be almost five seconds later.
  await expect.poll(() => received, { timeout: 2500 }).toHaveLength(1)
  await expect.poll(() => rows(t)).toEqual([])
})

test('what another process enqueued is found without a word from it', async () => {
  await using t = await createTestApp()
  const { received, handlers } = receiver()
  await using _ = start(t, handlers)
  await using elsewhere = await createTestApp({ join: t })
  await enqueueNote(elsewhere, 'hello')
  await expect.poll(() => received, { timeout: 10_000 }).toHaveLength(1)
})

test('the workers of two replicas share what there is, a few at a time', async () => {
  await using t = await createTestApp()
  await using other = await createTestApp({ join: t })
  for (let n = 0; n < 80; n++) await enqueueNote(t, String(n))
  let [now, most] = [0, 0]
  const carry = async () => {
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 10))
    now--
  }
  const receivers = [receiver(carry), receiver(carry)] as const
  await using workers = new AsyncDisposableStack()
  workers.use(start(t, receivers[0].handlers))
  workers.use(start(other, receivers[1].handlers))
  for (const each of [t, other]) each.deps.outboxBell.ring()
  await expect.poll(() => rows(t), { timeout: 20_000 }).toEqual([])
  const [here = [], there = []] = receivers.map(({ texts }) => texts())
  expect([...here, ...there].toSorted()).toEqual(Array.from({ length: 80 }, (_, n) => String(n)).toSorted())
  expect(here.length).toBeGreaterThan(4)
  expect(there.length).toBeGreaterThan(4)
  expect(most).toBeLessThanOrEqual(8)
})

test('a kind whose receiver hangs keeps no other kind waiting', async () => {
  await using t = await createTestApp()
  for (let n = 0; n < 10; n++) await enqueueNote(t, 'hangs', 'errand')
  await enqueueNote(t, 'quick')
  const hung = receiver((_, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)))
  const quick = receiver()
  await using worker = start(t, { ...hung.handlers, note: quick.handlers.note ?? expect.unreachable() })
  t.deps.outboxBell.ring()
  await expect.poll(() => quick.received).toHaveLength(1)
  expect(hung.received).toHaveLength(4)
  // Six wait, and the gauge says for how long.
  t.deps.outboxBell.ring()
  const waiting = (await rows(t)).filter(({ attempts }) => attempts === 0)
  expect(waiting).toHaveLength(6)
  await expect.poll(() => worker.oldestDue()).toEqual(waiting[0]?.created_at)
})

test('stopping, it lets what is under way finish and takes nothing more', async () => {
  await using t = await createTestApp()
  for (let n = 0; n < 5; n++) await enqueueNote(t, String(n))
  const gate = Promise.withResolvers<void>()
  const { received, handlers } = receiver(() => gate.promise)
  await using worker = start(t, handlers)
  t.deps.outboxBell.ring()
  await expect.poll(() => received).toHaveLength(4)
  const stopped = worker.stop(10_000)
  gate.resolve()
  await stopped
  expect(received).toHaveLength(4)
  expect(await rows(t)).toMatchObject([{ attempts: 0 }])
})

test('what is not done when the time to stop is over is given back, for another replica to take at once', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'slow')
  const slow = receiver(() => new Promise(() => {}))
  await using worker = start(t, slow.handlers)
  t.deps.outboxBell.ring()
  await expect.poll(() => slow.received).toHaveLength(1)
  await worker.stop(100)
  expect(await rows(t)).toMatchObject([{ attempts: 1, last_failure: 'the server stopped' }])
  const other = receiver()
  await t.deliver(other.handlers)
  expect(other.received).toMatchObject([{ id: slow.received[0]?.id, number: 2 }])
})

test('an outage of the database is told once, and what was handed over meanwhile does not go out again', async () => {
  await using line = await startForwarder()
  await using t = await createTestApp({ line })
  await enqueueNote(t, 'hello')
  const gate = Promise.withResolvers<void>()
  const { received, handlers } = receiver(() => gate.promise)
  await using _ = start(t, handlers)
  t.deps.outboxBell.ring()
  await expect.poll(() => received).toHaveLength(1)
  line.lead(undefined)
  line.cut()
  gate.resolve()
  const begun = () => t.logs.filter(({ msg }) => msg === 'the outbox cannot be read; what is enqueued goes out later')
  await expect.poll(begun, { timeout: 20_000 }).toHaveLength(1)
  line.lead(Number(new URL(t.databaseUrl).port))
  await expect.poll(() => rows(t), { timeout: 20_000 }).toEqual([])
  await expect
    .poll(() => t.logs.filter(({ msg }) => msg === 'the outbox can be read again'), { timeout: 20_000 })
    .toHaveLength(1)
  expect(received).toHaveLength(1)
  expect(begun()).toHaveLength(1)
}, 90_000)
