import { randomBytes } from 'node:crypto'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import type { Config } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/parse.ts'
import type { Db } from '../../src/db/schema.ts'
import { Problem } from '../../src/errors.ts'
import { guardAccess } from '../../src/http/guards/access.ts'
import { answerCors } from '../../src/http/guards/cors.ts'
import { collectPaths, refuseUnknown } from '../../src/http/guards/methods.ts'
import { findSources } from '../../src/http/guards/proxies.ts'
import { checkTargets } from '../../src/http/guards/target.ts'
import { createLimits, limitRates } from '../../src/http/limits/limits.ts'
import { writeCookies } from '../../src/http/replies/cookies.ts'
import { sendHeaders } from '../../src/http/replies/headers.ts'
import { handleProblems } from '../../src/http/replies/problems.ts'
import { parseBodies } from '../../src/http/requests/body.ts'
import { httpOptions } from '../../src/http/server/options.ts'
import { logRequests } from '../../src/http/server/request-log.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import type { Principal } from '../../src/principal.ts'

export const ORIGIN = 'https://app.example.com'

export function testConfig(env: Record<string, string> = {}): Config {
  const { config } = parseConfig({
    DATABASE_URL: 'postgres://localhost/none',
    CLAVIGER_SECRET: randomBytes(32).toString('base64'),
    ISSUER: 'https://auth.example.com',
    ALLOWED_ORIGINS: ORIGIN,
    LOG_LEVEL: 'debug',
    ...env,
  })
  return config
}

export interface HttpApp extends AsyncDisposable {
  app: FastifyInstance
  config: Config
  metrics: Metrics
  logs: Record<string, unknown>[]
  /** Tokens that were handed to `authenticate`. */
  authenticated: string[]
  /** Opens a port, sends the bytes as they are, and resolves to all that came until the connection closed. */
  send(bytes: string | Buffer): Promise<string>
}

interface Options {
  env?: Record<string, string>
  /** Needed for routes with a limit. */
  database?: { db: Db; clock: () => Date }
  server?: { requestTimeout: number; headersTimeout: number; connectionsCheckingInterval: number }
}

/** An app with nothing but the HTTP surface, in the order of `createApp`, and the routes of the test. */
export async function createHttpApp(routes: (app: FastifyInstance) => void, options: Options = {}): Promise<HttpApp> {
  const config = testConfig(options.env)
  const metrics = createMetrics()
  const logs: Record<string, unknown>[] = []
  const authenticated: string[] = []
  const http = httpOptions(config)
  const app = fastify({
    ...http,
    ...options.server,
    http: { ...http.http, ...options.server, maxHeaderSize: 16 * 1024 },
    logController: new LogController({ disableRequestLogging: true }),
    loggerInstance: createLog(config, {
      write: (line: string) => void logs.push(JSON.parse(line) as Record<string, unknown>),
    }),
  }) as unknown as FastifyInstance

  const paths = collectPaths(app)
  handleProblems(app, config, paths)
  sendHeaders(app, config)
  findSources(app, config)
  logRequests(app, metrics, config)
  checkTargets(app, config)
  answerCors(app, paths, new Set(config.ALLOWED_ORIGINS))
  refuseUnknown(app, paths)
  if (options.database) {
    const { db, clock } = options.database
    limitRates(app, createLimits({ config, db, refreshDb: db, clock }), metrics)
  }
  guardAccess(app, {
    scope: 'account',
    issuer: config.ISSUER,
    proveKey: async () => ({ key: { jkt: 'proven', fresh: false }, useUp: async () => {} }),
    authenticate: async (token) => {
      authenticated.push(token)
      if (!token.startsWith('good')) throw new Problem('invalid_token', { reason: 'signature' })
      const user = principal(token === 'good-narrow' ? ['orders'] : ['account'])
      return token === 'good-machine' ? { kind: 'service', clientId: 'cl_machine', scope: ['account'] } : user
    },
  })
  parseBodies(app)
  writeCookies(app)
  app.register(async (scope) => routes(scope))
  await app.ready()

  return {
    app,
    config,
    metrics,
    logs,
    authenticated,
    send: async (bytes) => {
      if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
      const socket = connectSocket((app.server.address() as AddressInfo).port, '127.0.0.1')
      const chunks: Buffer[] = []
      const closed = new Promise<void>((resolve) => {
        socket.on('close', () => resolve()).on('error', () => {})
      })
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      socket.write(bytes)
      await closed
      return Buffer.concat(chunks).toString('latin1')
    },
    [Symbol.asyncDispose]: async () => {
      await app.close()
    },
  }
}

function principal(scope: string[]): Principal {
  return {
    kind: 'user',
    subject: { id: 'u1', email: 'a@example.com', emailVerified: true, roles: [], claims: {}, createdAt: new Date(0) },
    sessionId: 's1',
    clientId: 'web',
    scope,
    authTime: new Date(0),
  }
}

/** A request as it goes over the wire; `Connection: close` so that the reply has an end. */
export function request(line: string, headers: readonly string[] = ['Host: auth.example.com'], body = ''): string {
  return [`${line} HTTP/1.1`, ...headers, 'Connection: close', '', body].join('\r\n')
}

/** Headers without which no reply may leave. */
export const ALWAYS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
  'cache-control': 'no-store',
} as const
