import type { Config } from '../../config/config.ts'
import { isLoopback } from '../../config/networks.ts'
import { SECOND } from '../../durations.ts'

/** Hand-overs at a time. What the outbox takes beyond that waits here. */
const CONNECTIONS = 4
/** Of one hand-over from beginning to end, below the patience of the outbox: the server may also be slow one byte at a time. */
export const HAND_OVER_WITHIN_MS = 50 * SECOND

/** What is known of the server that mail is handed to, and how it is spoken to. */
export function smtpOptions(config: Pick<Config, 'ISSUER'>, smtpUrl: string) {
  const url = new URL(smtpUrl)
  const secure = url.protocol === 'smtps:'
  const [user, pass] = [url.username, url.password].map(decodeURIComponent)
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    // Submission (RFC 6409), with TLS from the start (RFC 8314) or by STARTTLS.
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    // Whoever is on the path could strike STARTTLS from the server's offer, and would then read links and the password. To a
    // server on this machine nobody is, and the certificate that one has is seldom for this name.
    ...(isLoopback(url.hostname) ? { ignoreTLS: true } : { requireTLS: true }),
    // A server that offers no login to a user who has one is not used without: it would refuse the recipients.
    ...(user ? { auth: { user, pass }, forceAuth: true } : {}),
    // The host's own name is nobody's business.
    name: new URL(config.ISSUER).hostname,
    dnsTimeout: 10 * SECOND,
    connectionTimeout: 15 * SECOND,
    greetingTimeout: 15 * SECOND,
    // Some servers look into a mail for long before they accept it. One that is given up then comes twice.
    socketTimeout: 40 * SECOND,
    socketCloseTimeout: SECOND,
    // Of a mail nothing is ever read from anywhere.
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

/** The library takes as long to load as much of the server, and whoever sends no mail, as most commands do, needs none of it. */
const load = () => import('nodemailer')

export type Pool = Awaited<ReturnType<typeof createPool>>

/** Connections that are kept for half a minute of rest, each for a hundred mails at most. */
export async function createPool(config: Pick<Config, 'ISSUER'>, smtpUrl: string) {
  const own = {
    pool: true,
    maxConnections: CONNECTIONS,
    maxMessages: 100,
    maxRequeues: 1,
    idleTimeout: 30 * SECOND,
  } as const
  const { createTransport } = await load()
  return createTransport({ ...smtpOptions(config, smtpUrl), ...own })
}

/** Connects, secures the connection and signs in, but hands nothing over. @throws what stands in the way. */
export async function probe(
  config: Pick<Config, 'ISSUER'>,
  smtpUrl: string,
): Promise<{ encrypted: boolean; signedIn: boolean }> {
  const { createTransport } = await load()
  const options = smtpOptions(config, smtpUrl)
  const transport = createTransport({ ...options, socketTimeout: 10 * SECOND })
  try {
    await transport.verify()
  } finally {
    transport.close()
  }
  return { encrypted: options.secure || 'requireTLS' in options, signedIn: 'auth' in options }
}
