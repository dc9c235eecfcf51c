import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { enqueueNote, rows } from '../outbox/support.ts'
import { createTestApp } from '../support/app.ts'
import { spawnServer } from '../support/server.ts'

const WORKER = fileURLToPath(new URL('./outbox-worker.ts', import.meta.url))

/** Takes what is delivered, and answers a while later. */
async function startSink() {
  const taken: { id: string; text: string }[] = []
  const take = async (request: IncomingMessage, reply: ServerResponse) => {
    taken.push(JSON.parse(await readAll(request)))
    await sleep(60)
    reply.end()
  }
  const server = createServer((request, reply) => void take(request, reply))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    taken,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

test('a replica is killed while deliveries are queued: each arrives, and twice only what it was handing over', async () => {
  await using t = await createTestApp()
  await using sink = await startSink()
  const texts = Array.from({ length: 40 }, (_, n) => `note ${n}`)
  for (const text of texts) await enqueueNote(t, text)
  const env = { ...t.env, SINK: sink.url }

  const first = spawnServer(env, WORKER)
  await expect.poll(() => sink.taken.length, { timeout: 20_000, interval: 5 }).toBeGreaterThan(9)
  first.child.kill('SIGKILL')
  await first.exited
  const left = await rows(t)
  const inHand = left.filter(({ taken_at }) => taken_at !== null).map(({ id }) => id)
  expect(inHand.length).toBeGreaterThan(0)
  expect(left.length).toBeGreaterThan(inHand.length)

  const second = spawnServer(env, WORKER)
  // What the first one held is nobody's until its lease is over.
  await expect.poll(() => rows(t), { timeout: 20_000 }).toHaveLength(inHand.length)
  await sql`UPDATE outbox SET due_at = due_at - interval '2 minutes'`.execute(t.db)
  await expect.poll(() => rows(t), { timeout: 20_000 }).toEqual([])
  second.child.kill('SIGTERM')
  expect(await second.exited).toBe(0)

  expect([...new Set(sink.taken.map(({ text }) => text))].toSorted()).toEqual(texts.toSorted())
  const ids = sink.taken.map(({ id }) => id)
  expect(new Set(ids).size).toBe(texts.length)
  const twice = ids.filter((id, n) => ids.indexOf(id) !== n)
  expect(inHand).toEqual(expect.arrayContaining(twice))
  expect(new Set(twice).size).toBe(twice.length)
}, 90_000)
