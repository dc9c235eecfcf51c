import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createConnection, portOf, readAnswer } from '../../bench/connection.ts'

const read = (text: string) => readAnswer(Buffer.from(text))

test('an answer is there when all of its body is, however it was cut on its way', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n€'
  const bytes = Buffer.from(text)
  for (let length = 0; length < bytes.length; length++) expect(readAnswer(bytes.subarray(0, length))).toBeUndefined()
  expect(readAnswer(bytes)).toEqual({ status: 200, head: 'HTTP/1.1 200 OK\r\nContent-Length: 3', body: '€' })
})

test('without a length there is no body', () => {
  expect(read('HTTP/1.1 204 No Content\r\n\r\n')).toMatchObject({ status: 204, body: '' })
})

test('chunks are joined, with the extensions of their lengths left out', () => {
  const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\n\r\n'
  for (let length = 0; length < text.length; length++) expect(read(text.slice(0, length))).toBeUndefined()
  expect(read(text)?.body).toBe('abc0123456789')
})

test('a chunk without a length is an error, not an endless wait', () => {
  expect(() => read('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n')).toThrow('chunk')
})

test.each([
  ['http://a.example', 80],
  ['https://a.example', 443],
  ['https://a.example:8443/x', 8443],
])('the port of %s is %i', (url, port) => {
  expect(portOf(new URL(url))).toBe(port)
})

/** A server that answers each request with what `reply` says, and ends the connection if that is undefined. */
async function serve(reply: (turn: number) => string | undefined) {
  const sockets: Socket[] = []
  let turn = 0
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      const text = reply(turn++)
      if (text === undefined) socket.destroy()
      else socket.write(text)
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    port,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

const good = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

test('one connection serves request after request, by port and by URL', async () => {
  await using server = await serve((turn) => good.replace('ok', `n${turn}`))
  const bodies: string[] = []
  for (const target of [server.port, new URL(`http://127.0.0.1:${server.port}`)]) {
    const connection = createConnection(target)
    bodies.push((await connection.send('x')).body, (await connection.send('x')).body)
    connection.close()
  }
  expect(bodies).toEqual(['n0', 'n1', 'n2', 'n3'])
  expect(server.sockets).toHaveLength(2)
})

test('a connection that breaks fails its request, and the next one opens another', async () => {
  await using server = await serve((turn) => (turn === 0 ? undefined : good))
  const connection = createConnection(server.port)
  await expect(connection.send('x')).rejects.toThrow()
  expect((await connection.send('x')).status).toBe(200)
  connection.close()
})

test('after an answer that says close, the next request goes over a new connection', async () => {
  await using server = await serve(() => good.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  const connection = createConnection(server.port)
  expect((await connection.send('x')).status).toBe(200)
  expect((await connection.send('x')).status).toBe(200)
  expect(server.sockets).toHaveLength(2)
  connection.close()
})

test('an answer that cannot be read fails its request', async () => {
  await using server = await serve(() => 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n')
  const connection = createConnection(server.port)
  await expect(connection.send('x')).rejects.toThrow('chunk')
  connection.close()
})

test('a request that is never answered fails, and the next one goes over a new connection', async () => {
  await using server = await serve((turn) => (turn === 0 ? '' : good))
  const connection = createConnection(server.port, 50)
  await expect(connection.send('x')).rejects.toThrow('no answer in 50 ms')
  expect((await connection.send('x')).status).toBe(200)
  connection.close()
})
