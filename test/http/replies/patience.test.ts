import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test, vi } from 'vitest'
import { expectTaken, PATIENCE } from '../../../src/http/replies/patience.ts'

// More than what the system takes off the server's hands for a reader who takes nothing.
const DOCUMENT = Buffer.alloc(32 * 1024 * 1024, 'x')
const STATED = 100_000

/** @param waits whether the reader takes nothing until the server has given it up. @returns how many bytes have come. */
async function read({ leastMs, waits }: { leastMs: number; waits: boolean }): Promise<number> {
  const closed = Promise.withResolvers<void>()
  const server = createServer((_request, reply) => {
    expectTaken(reply.once('close', closed.resolve), STATED, { ...PATIENCE, leastMs })
    reply.end(DOCUMENT)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const request = get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, agent: false })
  const [reply] = (await once(request, 'response')) as [IncomingMessage]
  const over = new Promise((resolve) => reply.on('error', () => {}).once('close', resolve))
  if (waits) await closed.promise
  let bytes = 0
  reply.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await Promise.all([over, closed.promise])
  server.close()
  return bytes
}

test('who takes nothing of a large document is cut off', async () => {
  expect(await read({ leastMs: 0, waits: true })).toBeLessThan(DOCUMENT.length)
})

test('who takes it in time gets it whole', async () => {
  expect(await read({ leastMs: 60_000, waits: false })).toBe(DOCUMENT.length)
})

test('nothing waits for one who has gone before the document was there', async () => {
  const closed = Promise.withResolvers<ServerResponse>()
  const server = createServer((_request, reply) => {
    reply.once('close', () => closed.resolve(reply))
    request.destroy()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const request = get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }).on('error', () => {})
  const reply = await closed.promise
  const waiting = vi.spyOn(globalThis, 'setTimeout')
  expectTaken(reply, STATED)
  expect(waiting).not.toHaveBeenCalled()
  waiting.mockRestore()
  server.close()
})
