import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'

/** For a client that goes on sending, or never closes its side. */
const LINGER_MS = 5000

/**
 * A refusal may go out while its request is still coming in, and may end the connection. A socket that is closed with
 * unread bytes makes the client's kernel discard the reply: people would see a broken connection, and behind a proxy a
 * 502, where the server had said what was wrong. So such a connection is closed in stages (RFC 9112 §9.6).
 * Order: before whatever replaces the listeners for requests.
 */
export function lingerOnClose(server: Server): void {
  const newest = new WeakMap<Socket, IncomingMessage>()
  server.on('request', (request: IncomingMessage) => newest.set(request.socket, request))
  server.on('connection', (socket: Socket) => {
    const { destroySoon } = socket
    // Node calls it after the last reply on a connection, when it has begun to discard the rest of the request.
    socket.destroySoon = () => {
      const request = newest.get(socket)
      if (!request || request.complete) return destroySoon.call(socket)
      request.once('end', () => destroySoon.call(socket))
      endSlowly(socket)
    }
  })
}

/** Ends a connection that Node's parser has given up, after `reply`. */
export function endUnparsed(socket: Socket, reply: string): void {
  socket
    .removeAllListeners('data')
    .on('data', () => {})
    .resume()
  endSlowly(socket, reply)
}

function endSlowly(socket: Socket, lastWords = ''): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref()
  socket.once('close', () => clearTimeout(timer)).end(lastWords)
}
