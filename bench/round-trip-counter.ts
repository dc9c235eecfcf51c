import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface RoundTripCounter {
  /** The same database through the counter. */
  url: string
  /** Round trips so far: messages after which PostgreSQL answers and the client waits (Sync and Query). */
  count(): number
  close(): void
}

const SYNC = 0x53
const QUERY = 0x51

/** A relay that reads the frontend's side of PostgreSQL's protocol, version 3, without TLS. */
export async function countRoundTrips(databaseUrl: string): Promise<RoundTripCounter> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let count = 0
  const relay = createServer((client) => {
    const server = connect(Number(target.port || 5432), target.hostname)
    const note = countMessages(() => count++)
    client.on('data', (chunk: Buffer) => {
      note(chunk)
      server.write(chunk)
    })
    server.on('data', (chunk) => client.write(chunk))
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one)
      one.setNoDelay()
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((done) => relay.listen(0, '127.0.0.1', done))
  const url = new URL(databaseUrl)
  url.port = String((relay.address() as AddressInfo).port)
  return {
    url: url.href,
    count: () => count,
    close: () => {
      relay.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Messages may be split and joined in any way on their way. The very first one has a length but no type. */
function countMessages(onRoundTrip: () => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      const typed = started ? 1 : 0
      if (rest.length < typed + 4) return
      const length = typed + rest.readUInt32BE(typed)
      if (rest.length < length) return
      if (started && (rest[0] === SYNC || rest[0] === QUERY)) onRoundTrip()
      started = true
      rest = rest.subarray(length)
    }
  }
}
