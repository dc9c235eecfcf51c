import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

export interface ReceivedMail {
  from: string
  to: string[]
  /** As it came. */
  raw: string
  /** Of the connection that brought it. */
  session: string
  tls: boolean
  user: string | undefined
}

export interface SmtpServer extends AsyncDisposable {
  port: number
  mails: ReceivedMail[]
}

/**
 * A mail server on this machine that takes everything, unless the options say otherwise.
 * @param answersAfterMs how long it has had a mail when it says so
 */
export async function startSmtpServer(options: SMTPServerOptions = {}, answersAfterMs = 0): Promise<SmtpServer> {
  const mails: ReceivedMail[] = []
  const server = new SMTPServer({
    logger: false,
    disabledCommands: ['AUTH', ...(options.cert === undefined ? ['STARTTLS'] : [])],
    onData: (stream, session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        mails.push({
          from: session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address,
          to: session.envelope.rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString(),
          session: session.id,
          tls: session.secure,
          user: session.user === undefined ? undefined : String(session.user),
        })
        setTimeout(done, answersAfterMs)
      })
    },
    closeTimeout: 10,
    ...options,
  })
  server.on('error', () => {})
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())),
  }
}

/** An answer to a client of SMTP, as the server sends it. */
export function refusal(line: string): Error {
  const [, code, text] = /^(\d{3}) (.*)$/.exec(line) ?? []
  return Object.assign(new Error(text), { responseCode: Number(code) })
}

/**
 * A server that answers each line with the next of these, and falls silent after the last: no library is as rude.
 * @param answers the first is the greeting
 */
export async function startSilentServer(
  answers: readonly string[],
): Promise<{ port: number; heard: string[] } & AsyncDisposable> {
  const heard: string[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    const left = [...answers]
    const answer = () => {
      const next = left.shift()
      if (next !== undefined) socket.write(`${next}\r\n`)
    }
    answer()
    socket.on('data', (chunk) => {
      heard.push(String(chunk))
      answer()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
