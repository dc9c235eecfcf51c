import type { RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { networkOf, trustedPeers } from '../guards/proxies.ts'
import { lingerOnClose } from './linger.ts'

export interface ConnectionBounds {
  /**
   * Connections at a time. An idle one costs about 20 KiB; one whose client does not read, up to 100 KiB. Large documents, whose
   * bytes replies share, come on top: see patience.ts.
   */
  connections: number
  /** Connections from one address, unless it is a trusted proxy. */
  perAddress: number
  /** Requests on one connection that wait for the reply to an earlier one. Browsers and proxies send none. */
  pipelined: number
  /** A client that takes fewer than `enoughBytes` in this time, although more are waiting, counts as not reading. */
  patienceMs: number
  enoughBytes: number
  /** How often that is checked. */
  lookEveryMs: number
}

const BOUNDS: ConnectionBounds = {
  connections: 10_000,
  perAddress: 2500,
  pipelined: 32,
  patienceMs: 20_000,
  enoughBytes: 16 * 1024,
  lookEveryMs: 5000,
}

/**
 * Bounds what any client can occupy: connections, and memory for replies that it does not read. Connections beyond the
 * bounds are closed without a reply, which such clients would not read either.
 * Order: last, because it decides before every other listener of the server whether there is a request at all.
 */
export function boundConnections(
  { server }: FastifyInstance,
  { config, log, metrics }: ConnectionDeps,
  bounds: ConnectionBounds = BOUNDS,
): void {
  const note = notes(log, metrics)
  const cut: Cut = (socket, cause) => {
    note(cause)
    socket.destroy()
  }
  lingerOnClose(server)
  boundTotal(server, bounds, () => note('full'))
  boundAddresses(server, bounds, trustedPeers(config.TRUSTED_PROXIES), cut)
  boundPipelines(server, bounds, cut)
  cutOffSilentReaders(server, bounds, cut)
}

interface ConnectionDeps {
  config: Pick<Config, 'TRUSTED_PROXIES'>
  log: Pick<Log, 'warn'>
  metrics: Pick<Metrics, 'connectionsCut'>
}

type Cut = (socket: Socket, cause: string) => void

const NOTE_EVERY_MS = 60_000

/** Counts every cut, but logs each cause only once a minute, so that strangers cannot fill the log. */
function notes(log: ConnectionDeps['log'], metrics: ConnectionDeps['metrics']): (cause: string) => void {
  const logged = new Map<string, number>()
  return (cause) => {
    metrics.connectionsCut.inc({ cause })
    const now = performance.now()
    if (now - (logged.get(cause) ?? -NOTE_EVERY_MS) < NOTE_EVERY_MS) return
    logged.set(cause, now)
    log.warn({ cause }, 'connections are cut off')
  }
}

const MAKE_ROOM_EVERY_MS = 1000
/** To Node a connection that has only just come is idle, although its first request may be on the way. */
const FIRST_REQUEST_MS = 100

function boundTotal(server: Server, { connections }: ConnectionBounds, onFull: () => void): void {
  server.maxConnections = connections
  let madeRoomAt = -MAKE_ROOM_EVERY_MS
  server.on('drop', () => {
    onFull()
    const now = performance.now()
    if (now - madeRoomAt < MAKE_ROOM_EVERY_MS) return
    madeRoomAt = now
    // Idle connections make room for new clients.
    setTimeout(() => server.closeIdleConnections(), FIRST_REQUEST_MS).unref()
  })
}

function boundAddresses(
  server: Server,
  { perAddress }: ConnectionBounds,
  trusts: (address: string | undefined) => boolean,
  cut: Cut,
): void {
  const open = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    if (trusts(socket.remoteAddress)) return
    const from = networkOf(socket.remoteAddress)
    const count = (open.get(from) ?? 0) + 1
    if (count > perAddress) return cut(socket, 'address')
    open.set(from, count)
    socket.once('close', () => {
      const left = (open.get(from) ?? 1) - 1
      if (left === 0) open.delete(from)
      else open.set(from, left)
    })
  })
}

/**
 * A segment of 64 KiB holds a thousand requests, and Node would answer all of them before it checks whether the client
 * takes the replies. The replies would wait in memory, and nobody else would be served meanwhile.
 */
function boundPipelines(server: Server, { pipelined }: ConnectionBounds, cut: Cut): void {
  const waiting = new WeakMap<Socket, number>()
  const listeners = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request').on('request', (request, reply) => {
    const { socket } = request
    if (socket.destroyed) return
    // A reply has no socket while the reply to an earlier request is not finished.
    if (reply.socket === null) {
      const count = (waiting.get(socket) ?? 0) + 1
      if (count > pipelined) return cut(socket, 'pipelined')
      waiting.set(socket, count)
      reply.once('close', () => waiting.set(socket, (waiting.get(socket) ?? 1) - 1))
    }
    for (const listener of listeners) listener(request, reply)
  })
}

function cutOffSilentReaders(server: Server, bounds: ConnectionBounds, cut: Cut): void {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })

  const seen = new WeakMap<Socket, { taken: number; at: number }>()
  const look = (): void => {
    const now = performance.now()
    for (const socket of open) {
      if (socket.writableLength === 0) {
        seen.delete(socket)
        continue
      }
      const taken = socket.bytesWritten - socket.writableLength
      const before = seen.get(socket)
      if (!before || taken - before.taken >= bounds.enoughBytes) seen.set(socket, { taken, at: now })
      else if (now - before.at >= bounds.patienceMs) cut(socket, 'unread')
    }
  }
  let timer: NodeJS.Timeout | undefined
  server.on('listening', () => {
    timer ??= setInterval(look, bounds.lookEveryMs).unref()
  })
  server.on('close', () => clearInterval(timer))
}
