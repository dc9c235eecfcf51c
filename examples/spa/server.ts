// Serves the built page. It is part of the show, too: it plays a phone and a thief (thief.ts), which a page cannot be.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { playRoutes } from './play.ts'
import { staticFile } from './static.ts'

export interface SpaOptions {
  /** As browsers reach it. */
  issuer: string
  /** As browsers reach it. */
  orders: string
  /** The issuer as this process reaches it, where that is another address. */
  issuerInside?: string | undefined
  /** The same for the orders service. */
  ordersInside?: string | undefined
  /** An account to look around with. */
  demo?: DemoAccount | undefined
  /** Whether the issuer sends mail. */
  mail?: boolean | undefined
  /** What it has sent, the latest first, if that can be seen. */
  inbox?: (() => object[]) | undefined
}

export interface DemoAccount {
  email: string
  /** Where people find the password, in a sentence. */
  hint: string
  /** If it is known here, the phone of this account signs in by itself. Everybody else types theirs for it. */
  password?: string | undefined
}

/** Where links in mails lead. All of these are one page, whose script looks at the path. */
const pages = new Set(['/', '/sign-in', '/forgot', '/reset', '/verify', '/invitation', '/email', '/undo'])
const dist = join(import.meta.dirname, 'dist')

/** The web server of the demo's page. */
export function createSpa(options: SpaOptions): Server {
  const { issuer, orders, issuerInside = issuer, ordersInside = orders, demo, mail = false, inbox } = options
  const headers = securityHeaders(options)
  const config = JSON.stringify({
    issuer,
    orders,
    demo: demo ? { email: demo.email, hint: demo.hint, hasPhone: demo.password !== undefined } : null,
    mail,
    inbox: inbox !== undefined,
  })
  const play = playRoutes(
    { issuer: { url: issuer, inside: issuerInside }, orders: { url: orders, inside: ordersInside } },
    demo,
  )

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const json = (status: number, text: string) =>
      response
        .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
        .end(text)
    if (request.method === 'POST' && pathname.startsWith('/play')) {
      const { status, body } = await play(request, pathname)
      return void json(status, JSON.stringify(body))
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return void json(405, '{}')
    if (pathname === '/config.json') return void json(200, config)
    if (pathname === '/inbox.json' && inbox) {
      // By a name of its own that leads to this machine, another site could read the links.
      if (!/^(localhost|127\.0\.0\.1)(:\d+)?$/.test(request.headers.host ?? '')) return void json(403, '{}')
      return void json(200, JSON.stringify(inbox()))
    }
    if (pathname === '/readyz') return void json(200, '{"status":"ready"}')
    const file = await staticFile(dist, pages.has(pathname) ? '/' : pathname)
    if (!file) return void json(404, '{}')
    response
      .writeHead(200, { 'content-length': file.body.length, ...file.headers, ...headers })
      .end(request.method === 'HEAD' ? undefined : file.body)
  }

  return createServer((request, response) => {
    answer(request, response).catch((error: Error) => {
      console.error(`spa: ${error.message}`)
      if (!response.headersSent) response.writeHead(500, headers)
      response.end()
    })
  })
}

/**
 * What makes an access token in memory worth the trouble: a page that runs no script but its own, and talks to nobody but
 * the two servers that it needs.
 */
function securityHeaders({ issuer, orders }: SpaOptions): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${new URL(issuer).origin} ${new URL(orders).origin}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]
  return {
    'content-security-policy': policy.join('; '),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  }
}

if (import.meta.main) {
  const { env } = process
  const server = createSpa({
    issuer: env.ISSUER || 'http://localhost:3000',
    orders: env.ORDERS_URL || 'http://localhost:4000',
    issuerInside: env.ISSUER_INSIDE || undefined,
    ordersInside: env.ORDERS_INSIDE || undefined,
    demo: env.DEMO_EMAIL ? { email: env.DEMO_EMAIL, hint: env.DEMO_HINT ?? '' } : undefined,
  })
  server.listen(Number(env.PORT || 5173), env.HOST || '127.0.0.1', () => console.log('spa: ready'))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      server.close(() => process.exit(0))
      server.closeAllConnections()
    })
  }
}
