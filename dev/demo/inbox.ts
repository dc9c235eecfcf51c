import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import PostalMime from 'postal-mime'
import { SMTPServer } from 'smtp-server'

interface Received {
  id: string
  to: string
  subject: string
  text: string
  /** Milliseconds since 1970. */
  time: number
}

export interface Inbox {
  /** For SMTP_URL. */
  url: string
  /** The latest first. */
  mails(): Received[]
  close(): Promise<void>
}

const KEPT = 50

/** A mail server on this machine that keeps what it is handed, to be shown, and passes nothing on. */
export async function startInbox(): Promise<Inbox> {
  const mails: Received[] = []

  const keep = async (raw: Buffer, to: string): Promise<void> => {
    const { messageId, subject = '', text = '' } = await PostalMime.parse(raw)
    const id = messageId ?? crypto.randomUUID()
    // Handed over again, because the answer to the first time was lost.
    if (mails.some((mail) => mail.id === id)) return
    mails.unshift({ id, to, subject, text, time: Date.now() })
    mails.length = Math.min(mails.length, KEPT)
  }

  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    closeTimeout: 1000,
    onData: (stream, { envelope }, done) => {
      const to = envelope.rcptTo.map(({ address }) => address).join(', ')
      buffer(stream)
        .then((raw) => keep(raw, to))
        .then(() => done(), done)
    },
  })
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  // A connection that breaks: the mail comes again.
  server.on('error', () => {})
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    mails: () => mails,
    close: () => new Promise((done) => server.close(() => done())),
  }
}
