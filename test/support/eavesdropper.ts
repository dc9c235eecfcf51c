import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What a client tells the server it connects to, before it can know whether that is one. */
export interface Told {
  /** Which door it came to. */
  at: string
  tls: boolean
  /** Members of the start packet, as far as they come from a URL. */
  user: string | undefined
  database: string | undefined
  options: string | undefined
  password: string | undefined
}

const SSL_REQUEST = 80877103
const ASK_FOR_PASSWORD = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])

/**
 * Listens as a PostgreSQL would, offers TLS, asks for the password in clear, notes all it hears, and hangs up.
 * @param at a port of loopback, or the path of a socket.
 * @param heard where it notes that, perhaps with others.
 */
export async function listenAt(at: number | string, tls: { key: string; cert: string }, heard: Told[] = []) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    converse(socket, tls).then(
      (told) => heard.push({ at: String(at), ...told }),
      () => {},
    )
  })
  server.listen(typeof at === 'number' ? { host: '127.0.0.1', port: at } : { path: at })
  await once(server, 'listening')
  if (typeof at === 'string') chmodSync(at, 0o777)
  return { heard, close: () => server.close() }
}

async function converse(raw: Socket, tls: { key: string; cert: string }): Promise<Omit<Told, 'at'>> {
  let socket: Socket = raw
  let packet = await read(raw)
  if (packet.readInt32BE(4) === SSL_REQUEST) {
    raw.write('S')
    socket = new TLSSocket(raw, { isServer: true, ...tls })
    socket.on('error', () => {})
    packet = await read(socket)
  }
  const words = packet.toString('utf8', 8).split('\0')
  const stated = new Map(
    words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1]]] : [])) as [string, string][],
  )
  socket.write(ASK_FOR_PASSWORD)
  const answer = await read(socket)
  socket.end()
  return {
    tls: socket !== raw,
    user: stated.get('user'),
    database: stated.get('database'),
    options: stated.get('options'),
    password: answer.toString('utf8', 5, answer.length - 1),
  }
}

/** Clients write a packet at a time. */
async function read(socket: Socket): Promise<Buffer> {
  const [chunk] = (await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [])])) as [Buffer?]
  if (!chunk) throw new Error('hung up')
  return chunk
}
