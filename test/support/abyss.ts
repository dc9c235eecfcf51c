import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** What a port does with whoever connects to it. */
export interface Abyss extends AsyncDisposable {
  /** `host:port` */
  place: string
  /** Connections made so far. */
  connections(): number
}

/** AuthenticationOk and ReadyForQuery: whoever it is may ask. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

/**
 * Takes connections and never answers, as a machine behind a firewall that drops packets; or hangs up on everybody; or lets
 * everybody in first, as a pooler that is paused.
 */
export async function startAbyss(manner: 'silent' | 'hangs up' | 'lets in' = 'silent'): Promise<Abyss> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => {})
    if (manner === 'hangs up') socket.destroy()
    else sockets.add(socket.resume())
    if (manner === 'lets in') socket.once('data', () => socket.write(WELCOME))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    place: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
