import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Forwarder, startForwarder } from './forwarder.ts'

// Answers each letter with the name of the server.
const servers: Server[] = []
const ports: number[] = []
beforeAll(async () => {
  for (const name of ['first', 'second']) {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => {
        for (const letter of data.toString()) socket.write(`${name} heard ${letter}\n`)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
    ports.push((server.address() as AddressInfo).port)
  }
})
afterAll(() => {
  for (const server of servers) server.close()
})

/** A client, what it has heard, and whether its connection is over. */
function dial(line: Forwarder): { socket: Socket; heard: () => string; over: () => boolean } {
  let text = ''
  let over = false
  const socket = connect(line.port, '127.0.0.1')
  socket.on('data', (data) => (text += data.toString()))
  socket.on('error', () => {})
  socket.on('close', () => {
    over = true
  })
  return { socket, heard: () => text, over: () => over }
}

test('what is held back arrives after it is let go, in order', async () => {
  await using line = await startForwarder(ports[0])
  const { socket, heard } = dial(line)
  line.pause('toClient')
  socket.write('a')
  await sleep(60)
  socket.write('b')
  await sleep(60)
  expect(heard()).toBe('')
  line.resume()
  await expect.poll(heard).toBe('first heard a\nfirst heard b\n')
})

test('each direction has its own delay, and nothing is overtaken when it ends', async () => {
  await using line = await startForwarder(ports[0])
  const { socket, heard } = dial(line)
  const started = performance.now()
  line.delay({ toServer: 200 })
  socket.write('a')
  await sleep(30)
  line.delay({})
  socket.write('b')
  await expect.poll(heard, { interval: 5 }).toBe('first heard a\nfirst heard b\n')
  expect(performance.now() - started).toBeGreaterThan(195)
})

test('open connections stay where they lead; cut, they end, and the next one goes elsewhere or nowhere', async () => {
  await using line = await startForwarder(ports[0])
  const before = dial(line)
  before.socket.write('a')
  await expect.poll(before.heard).toBe('first heard a\n')
  line.lead(ports[1])
  before.socket.write('b')
  await expect.poll(before.heard).toContain('first heard b')
  line.cut()
  await expect.poll(before.over).toBe(true)
  const after = dial(line)
  after.socket.write('c')
  await expect.poll(after.heard).toBe('second heard c\n')
  line.lead(undefined)
  const nowhere = dial(line)
  await expect.poll(nowhere.over).toBe(true)
  expect(line.connections()).toBe(3)
})

test('frozen connections neither speak nor end, whatever happens at the other side; new ones are as ever', async () => {
  await using line = await startForwarder(ports[0])
  const before = dial(line)
  before.socket.write('a')
  await expect.poll(before.heard).toBe('first heard a\n')
  line.freeze()
  before.socket.write('b')
  const after = dial(line)
  after.socket.write('c')
  await expect.poll(after.heard).toBe('first heard c\n')
  await sleep(60)
  expect([before.heard(), before.over()]).toEqual(['first heard a\n', false])
})
