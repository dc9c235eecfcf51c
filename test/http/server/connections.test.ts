import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { boundConnections, type ConnectionBounds } from '../../../src/http/server/connections.ts'
import { createTestApp } from '../../support/app.ts'
import { createHttpApp, type HttpApp } from '../support.ts'

const WIDE: ConnectionBounds = {
  connections: 1000,
  perAddress: 1000,
  pipelined: 1000,
  patienceMs: 60_000,
  enoughBytes: 1,
  lookEveryMs: 50,
}
/** More than the buffers of two kernels hold, in a few replies. */
const LARGE = 'x'.repeat(4 * 1024 * 1024)

async function bounded(bounds: Partial<ConnectionBounds>, env: Record<string, string> = {}) {
  let answered = 0
  const held = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const t = await createHttpApp(
    (app) => {
      app.get('/small', { config: { access: 'public' } }, async () => ({ answered: ++answered }))
      app.post('/post', { config: { access: 'public' } }, async () => ({}))
      app.get('/held', { config: { access: 'public' } }, async () => {
        held.resolve()
        await release.promise
        return {}
      })
      app.get('/large', { config: { access: 'public' } }, async () => LARGE)
    },
    { env: { ISSUER: 'http://localhost:3000', ...env } },
  )
  boundConnections(t.app, { config: t.config, log: t.app.log, metrics: t.metrics }, { ...WIDE, ...bounds })
  await t.app.listen({ host: '127.0.0.1', port: 0 })
  return Object.assign(t, { answered: () => answered, held: held.promise, letGo: release.resolve })
}

interface Client {
  socket: Socket
  closed: Promise<void>
  received: () => number
}

function open(t: HttpApp): Client {
  const socket = connect((t.app.server.address() as AddressInfo).port, '127.0.0.1')
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  socket.on('error', () => {})
  return { socket, closed: once(socket, 'close').then(() => {}), received: () => received }
}

/** Never reads a byte. */
function openSilently(t: HttpApp): Client {
  const client = open(t)
  client.socket.pause()
  return client
}

/** As if it came from there. */
function openFrom(t: HttpApp, remoteAddress: string): Duplex {
  const [ours, theirs] = duplexPair()
  t.app.server.emit('connection', Object.assign(theirs, { remoteAddress }))
  return ours
}

const ask = (path: string, times = 1) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(times)
const cut = async (t: HttpApp) => {
  const { values } = await t.metrics.connectionsCut.get()
  return Object.fromEntries(values.map(({ labels, value }) => [labels.cause, value]))
}
const connections = (t: HttpApp) =>
  new Promise<number>((resolve, reject) =>
    t.app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10)
}

test('a client that does not read its replies is cut off, and one that reads is not', async () => {
  await using t = await bounded({ patienceMs: 300 })
  const [silent, reader] = [openSilently(t), open(t)]
  silent.socket.write(ask('/large', 6))
  reader.socket.write(ask('/large', 6))
  await until(async () => (await cut(t)).unread === 1)
  await until(async () => (await connections(t)) === 1)
  await until(() => reader.received() > 6 * LARGE.length)
  // Longer than the patience, without a byte: there is nothing to read.
  await sleep(500)
  reader.socket.write(ask('/large'))
  await until(() => reader.received() > 7 * LARGE.length)
  expect(await cut(t)).toEqual({ unread: 1 })
  reader.socket.destroy()
})

test('a client that reads a little now and then is cut off as well', async () => {
  await using t = await bounded({ patienceMs: 300, enoughBytes: 1_000_000 })
  const client = openSilently(t)
  client.socket.write(ask('/large', 6))
  const sips = setInterval(() => client.socket.read(10), 20)
  await until(async () => (await cut(t)).unread === 1)
  clearInterval(sips)
})

test('a client that has many replies waiting is cut off before more are made', async () => {
  await using t = await bounded({ pipelined: 10 })
  const client = open(t)
  client.socket.write(ask('/small', 900))
  await client.closed
  expect(await cut(t)).toEqual({ pipelined: 1 })
  expect(t.answered()).toBeLessThan(30)
})

test('a few requests at once are answered in order, as often as one likes', async () => {
  await using t = await bounded({ pipelined: 10 })
  const { socket } = open(t)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  for (let round = 1; round <= 20; round++) {
    socket.write(ask('/small', 10))
    await until(() => text.includes(`{"answered":${round * 10}}`))
  }
  const answers = [...text.matchAll(/\{"answered":(\d+)\}/g)].map(([, number]) => Number(number))
  expect(answers).toEqual(Array.from({ length: 200 }, (_, index) => index + 1))
  expect(await cut(t)).toEqual({})
  socket.destroy()
})

test('one address has its share of the connections, and another the rest', async () => {
  await using t = await bounded({ perAddress: 3 })
  const three = [open(t), open(t), open(t)]
  await until(async () => (await connections(t)) === 3)
  await open(t).closed
  const neighbour = openFrom(t, '127.0.0.2')
  neighbour.write(ask('/small'))
  expect(String((await once(neighbour, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /)
  expect(await cut(t)).toEqual({ address: 1 })
  // Whoever leaves makes room.
  three[0]?.socket.destroy()
  await until(async () => (await connections(t)) === 2)
  const next = open(t)
  next.socket.write(ask('/small'))
  await until(() => next.received() > 0)
  neighbour.destroy()
  for (const { socket } of [...three, next]) socket.destroy()
})

test('a trusted proxy brings as many as it likes', async () => {
  await using t = await bounded({ perAddress: 1 }, { TRUSTED_PROXIES: '127.0.0.1' })
  const clients = Array.from({ length: 5 }, () => open(t))
  await until(async () => (await connections(t)) === 5)
  expect(await cut(t)).toEqual({})
  for (const { socket } of clients) socket.destroy()
})

test('where all connections are taken, those that nobody uses make room', async () => {
  await using t = await bounded({ connections: 2 })
  const idle = open(t)
  idle.socket.write(ask('/small'))
  await until(() => idle.received() > 0)
  const busy = open(t)
  busy.socket.write(ask('/held'))
  await t.held
  await open(t).closed
  await idle.closed
  expect(await cut(t)).toEqual({ full: 1 })
  const next = open(t)
  next.socket.write(ask('/small'))
  await until(() => next.received() > 0)
  t.letGo()
  await until(() => busy.received() > 0)
  for (const { socket } of [busy, next]) socket.destroy()
})

test('where all connections are taken, one that has only just come is heard', async () => {
  await using t = await bounded({})
  const newcomer = openFrom(t, '127.0.0.2')
  t.app.server.emit('drop')
  newcomer.write(ask('/small'))
  expect(String((await once(newcomer, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /)
  newcomer.destroy()
})

test('what is cut off is logged once a minute, however much it is', async () => {
  await using t = await bounded({ perAddress: 1 })
  const first = open(t)
  await until(async () => (await connections(t)) === 1)
  for (let more = 0; more < 5; more++) await open(t).closed
  expect(await cut(t)).toEqual({ address: 5 })
  expect(t.logs.filter(({ msg }) => msg === 'connections are cut off')).toMatchObject([
    { level: 'warn', cause: 'address' },
  ])
  first.socket.destroy()
})

test('the server has these bounds', async () => {
  await using t = await createTestApp()
  const { port } = new URL(await t.listen())
  expect(t.app.server.maxConnections).toBe(10_000)
  const socket = connect(Number(port), '127.0.0.1').resume()
  socket.on('error', () => {})
  socket.write(ask('/.well-known/jwks.json', 500))
  await once(socket, 'close')
  const { values } = await t.deps.metrics.connectionsCut.get()
  expect(values).toMatchObject([{ labels: { cause: 'pipelined' }, value: 1 }])
})

test.each<[string, string, number]>([
  ['a body', 'POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n', 413],
  [
    'the last body of a connection',
    'POST /post HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 400000\r\n',
    413,
  ],
  ['a body for nobody', 'POST /nobody HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 400000\r\n', 404],
  ['a header', 'GET /small HTTP/1.1\r\nHost: a\r\nX-Long: ', 431],
])('%s that is too long: who sends it to its end can read the refusal', async (_name, head, status) => {
  await using t = await bounded({})
  const { port } = t.app.server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let error: Error | undefined
  socket.on('error', (cause) => (error = cause)).pause()
  socket.write(head.endsWith('\n') ? `${head}Content-Type: application/json\r\n\r\n` : head)
  // As a proxy that passes a request on: the refusal comes while more is on its way, and is read afterwards.
  for (let sent = 0; sent < 400_000 && !error; sent += 20_000) {
    socket.write('x'.repeat(20_000))
    await sleep(10)
  }
  let text = ''
  socket
    .setEncoding('utf8')
    .on('data', (chunk: string) => (text += chunk))
    .resume()
  await until(() => text !== '' || error !== undefined)
  expect(error).toBeUndefined()
  expect(text).toMatch(RegExp(`^HTTP/1\\.1 ${status} `))
  socket.destroy()
})

test.concurrent.each<[string, string]>([
  ['a body', 'POST /post HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n'],
  ['a header', 'GET /small HTTP/1.1\r\nHost: a\r\nX-Long: '],
])('%s without end is taken for a few seconds', async (_name, head) => {
  await using t = await bounded({})
  const { port } = t.app.server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(head)
  const started = performance.now()
  const sending = setInterval(() => socket.write('x'.repeat(20_000)), 10)
  await closed
  clearInterval(sending)
  expect(performance.now() - started).toBeLessThan(10_000)
})
