import { connect, type Socket } from 'node:net'

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

/**
 * Written by hand because the load shares the machine with the server: node:http would cost about as much per request as
 * the server spends outside the signature. It reads what our server writes: a Content-Length, or no body.
 */
export function createConnection(port: number): Connection {
  let socket: Socket | undefined
  let received: Buffer = Buffer.alloc(0)
  let pending: { done: (answer: Answer) => void; fail: (error: Error) => void } | undefined

  const settle = (act: (waiting: NonNullable<typeof pending>) => void): void => {
    const waiting = pending
    pending = undefined
    if (waiting) act(waiting)
  }
  const onData = (chunk: Buffer): void => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
    const end = received.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = received.toString('latin1', 0, end)
    if (/^transfer-encoding:/im.test(head)) {
      return void socket?.destroy(new Error('an answer in chunks'))
    }
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    if (received.length < end + 4 + length) return
    const body = received.toString('utf8', end + 4, end + 4 + length)
    received = Buffer.alloc(0)
    settle(({ done }) => done({ status: Number(head.slice(9, 12)), head, body }))
  }
  const open = (): Socket => {
    const opened = connect({ port, host: '127.0.0.1', noDelay: true })
    let reason = new Error('connection closed')
    opened.on('data', onData)
    opened.on('error', (error) => {
      reason = error
    })
    opened.on('close', () => {
      if (socket === opened) socket = undefined
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
