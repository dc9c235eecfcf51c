import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Answer {
  status: number
  /** Status line and headers as they came. */
  head: string
  body: string
}

/** One keep-alive HTTP/1.1 connection with one request at a time. Opens itself, and again after it broke. */
export interface Connection {
  /** @throws Error if the connection breaks, or the answer is of a kind that this client does not read. */
  send(request: string): Promise<Answer>
  close(): void
}

/** Longer than the slowest arrangement takes for an answer under the heaviest load. */
const PATIENCE_MS = 60_000

interface Waiting {
  done: (answer: Answer) => void
  fail: (error: Error) => void
}

/**
 * Written by hand because the load shares the machine with the server: node:http would cost about as much per request as
 * the server spends outside the signature.
 * @param target - a port of this machine, or a server's URL.
 * @param patienceMs - without a byte from the server until a request fails.
 */
export function createConnection(target: number | URL, patienceMs = PATIENCE_MS): Connection {
  let socket: Socket | undefined
  let received: Buffer = Buffer.alloc(0)
  let pending: Waiting | undefined

  const settle = (act: (waiting: Waiting) => void): void => {
    const waiting = pending
    pending = undefined
    if (waiting) act(waiting)
  }
  const onData = (chunk: Buffer): void => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
    let answer: Answer | undefined
    try {
      answer = readAnswer(received)
    } catch (error) {
      return void socket?.destroy(error as Error)
    }
    if (!answer) return
    received = Buffer.alloc(0)
    // A server that says so closes, and the next request must not be written to what it is closing.
    if (/^connection: *close/im.test(answer.head)) {
      socket?.destroy()
      socket = undefined
    }
    settle(({ done }) => done(answer))
  }
  const open = (): Socket => {
    const opened = openSocket(target)
    let reason = new Error('connection closed')
    opened.setTimeout(patienceMs, () => pending && opened.destroy(new Error(`no answer in ${patienceMs} ms`)))
    opened.on('data', (chunk: Buffer) => socket === opened && onData(chunk))
    opened.on('error', (error) => {
      reason = error
    })
    opened.on('close', () => {
      if (socket !== opened) return
      socket = undefined
      received = Buffer.alloc(0)
      settle(({ fail }) => fail(reason))
    })
    return opened
  }

  return {
    send: (request) =>
      new Promise((done, fail) => {
        pending = { done, fail }
        socket ??= open()
        socket.write(request)
      }),
    close: () => socket?.destroy(),
  }
}

function openSocket(target: number | URL): Socket {
  if (typeof target === 'number') return connect({ port: target, host: '127.0.0.1', noDelay: true })
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const port = portOf(target)
  return target.protocol === 'https:'
    ? connectTls({ host, port, servername: host })
    : connect({ host, port, noDelay: true })
}

export const portOf = (url: URL): number => Number(url.port || (url.protocol === 'https:' ? 443 : 80))

/**
 * The first answer in what has come so far: with a Content-Length, in chunks, or without a body.
 * @returns undefined while part of it is missing.
 * @throws Error if the length of a chunk is not one.
 */
export function readAnswer(received: Buffer): Answer | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const head = received.toString('latin1', 0, end)
  const status = Number(head.slice(9, 12))
  const rest = received.subarray(end + 4)
  const chunked = /^transfer-encoding: *chunked/im.test(head)
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
  const body = chunked ? joinChunks(rest) : rest.length >= length ? rest.subarray(0, length) : undefined
  return body && { status, head, body: body.toString('utf8') }
}

/** RFC 9112 section 7.1, without trailers. @returns undefined while the last chunk has not come. */
function joinChunks(data: Buffer): Buffer | undefined {
  const chunks: Buffer[] = []
  for (let at = 0; ; ) {
    const line = data.indexOf('\r\n', at)
    if (line === -1) return undefined
    const size = Number.parseInt(data.toString('latin1', at, line), 16)
    if (!(size >= 0)) throw new Error('a chunk without a length')
    const next = line + 2 + size + 2
    if (data.length < next) return undefined
    if (size === 0) return Buffer.concat(chunks)
    chunks.push(data.subarray(line + 2, next - 2))
    at = next
  }
}
