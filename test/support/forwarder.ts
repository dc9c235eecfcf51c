import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type Direction = 'toServer' | 'toClient'

/** A line to a server that a test can hold up, slow down, cut and switch to another server. */
export interface Forwarder extends AsyncDisposable {
  readonly port: number
  /** The same URL through this line. */
  through(url: string): string
  /** Where connections that are opened from now on lead; undefined: they are closed at once. Open ones stay. */
  lead(port: number | undefined): void
  /** Holds everything back, in one direction or both, new connections included. Nothing is lost. */
  pause(direction?: Direction): void
  /** Lets go what was held back, in order. */
  resume(direction?: Direction): void
  /** Each piece arrives so many milliseconds later, from now on; what is left out goes without delay. */
  delay(milliseconds: Partial<Record<Direction, number>>): void
  /** Breaks every open connection, as when a cable is pulled and plugged in again: nobody hears the end of what was said. */
  cut(): void
  /** Open connections hear and say nothing from now on, and do not end either, as when the other side lost its power. */
  freeze(): void
  /** Connections made so far. */
  connections(): number
  close(): Promise<void>
}

/** Listens on a free port of 127.0.0.1 and passes everything on to `port` there. */
export async function startForwarder(port?: number): Promise<Forwarder> {
  let target = port
  let connections = 0
  const sockets = new Set<Socket>()
  let wires = new Set<Wire>()
  const lanes: Record<Direction, Lane> = { toServer: new Lane(), toClient: new Lane() }

  // Half open: that one side has ended is passed on like everything else, and not answered by this line itself.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections++
    if (target === undefined) {
      client.destroy()
      return
    }
    const upstream = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    for (const socket of [client, upstream]) {
      sockets.add(socket.setNoDelay())
      socket.on('close', () => sockets.delete(socket))
    }
    const wire: Wire = { frozen: false }
    wires.add(wire)
    client.on('close', () => wires.delete(wire))
    pass(client, upstream, lanes.toServer, wire)
    pass(upstream, client, lanes.toClient, wire)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const own = (server.address() as AddressInfo).port

  const which = (direction?: Direction): Lane[] => (direction ? [lanes[direction]] : Object.values(lanes))
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const close = async () => {
    for (const lane of Object.values(lanes)) lane.resume()
    cut()
    server.close()
    await once(server, 'close')
  }
  return {
    port: own,
    through: (url) => {
      const changed = new URL(url)
      changed.host = `127.0.0.1:${own}`
      return changed.href
    },
    lead: (next) => {
      target = next
    },
    pause: (direction) => {
      for (const lane of which(direction)) lane.pause()
    },
    resume: (direction) => {
      for (const lane of which(direction)) lane.resume()
    },
    delay: ({ toServer = 0, toClient = 0 }) => {
      lanes.toServer.milliseconds = toServer
      lanes.toClient.milliseconds = toClient
    },
    cut,
    freeze: () => {
      for (const wire of wires) wire.frozen = true
      wires = new Set()
    },
    connections: () => connections,
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Wire {
  frozen: boolean
}

/** One direction, over all connections. */
class Lane {
  milliseconds = 0
  #open: Promise<void> | undefined
  #resume = () => {}

  pause(): void {
    this.#open ??= new Promise((resolve) => {
      this.#resume = resolve
    })
  }

  resume(): void {
    this.#resume()
    this.#open = undefined
  }

  /** Until what arrived at `since` may go on. */
  async wait(since: number): Promise<void> {
    const left = since + this.milliseconds - performance.now()
    if (this.milliseconds > 0 && left > 0) await new Promise((resolve) => setTimeout(resolve, left))
    while (this.#open) await this.#open
  }
}

/** Everything from one socket to the other, in order, its end included. */
function pass(from: Socket, to: Socket, lane: Lane, wire: Wire): void {
  let before = Promise.resolve()
  const inTurn = (act: () => void) => {
    const since = performance.now()
    before = before.then(() => lane.wait(since)).then(() => (wire.frozen ? undefined : act()))
  }
  from.on('data', (chunk) => inTurn(() => void (to.writable && to.write(chunk))))
  from.on('end', () => inTurn(() => to.end()))
  from.on('error', () => inTurn(() => to.destroy()))
}
