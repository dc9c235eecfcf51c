import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Deps } from './deps.ts'
import { guardAccess } from './http/access.ts'
import { parseBodies } from './http/body.ts'
import { boundConnections } from './http/connections.ts'
import { writeCookies } from './http/cookies.ts'
import { answerCors } from './http/cors.ts'
import { addDocs } from './http/docs.ts'
import { answerDocuments } from './http/documents.ts'
import { sendHeaders } from './http/headers.ts'
import { healthRoutes, type Lifecycle } from './http/health.ts'
import { createLimits, limitRates } from './http/limits.ts'
import { collectPaths, refuseUnknown } from './http/methods.ts'
import { httpOptions } from './http/options.ts'
import { refuseForeignPages } from './http/origin.ts'
import { handleProblems } from './http/problems.ts'
import { findSources } from './http/proxies.ts'
import { logRequests, noteCallers, retireConnections } from './http/request-log.ts'
import { rootRoutes } from './http/root.ts'
import { checkTargets } from './http/target.ts'
import { AUTHORIZATION_SERVER, KEY_SET } from './keys/metadata.ts'
import { keyRoutes, publicDocuments } from './keys/routes.ts'
import { authenticate } from './sessions/authenticate.ts'
import { ACCOUNT_SCOPE, builtInClients, pagesOf } from './sessions/clients.ts'
import { sessionRoutes } from './sessions/routes.ts'
import { createTurns } from './turns.ts'
import { userRoutes } from './users/routes.ts'

/** Slow senders are cut off within 18 s: Fastify's defaults would let them hold a connection for ever. */
const TIMEOUTS = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 3000,
}

/** The whole HTTP surface. Opens no port: the caller listens, or injects. */
export function createApp(deps: Deps, lifecycle: Lifecycle = { stopping: false }): FastifyInstance {
  const { config, log, metrics } = deps
  const clients = builtInClients(config)
  const origins = pagesOf(clients.values())
  const limits = createLimits(deps)
  const inTurn = createTurns()
  // As Fastify's own type: pino's would pass through every plugin's type, and theirs do not know it.
  const logger: FastifyBaseLogger = log
  const options = httpOptions(config)
  const timeouts = { ...TIMEOUTS, keepAliveTimeout: config.KEEP_ALIVE_SECONDS * 1000 }
  const app = fastify({
    ...options,
    ...timeouts,
    http: { ...options.http, ...timeouts, maxHeaderSize: 16 * 1024 },
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    forceCloseConnections: 'idle',
  })

  // Each step may refuse what comes after it. The first ones see every request, unknown paths included.
  handleProblems(app, config)
  sendHeaders(app, config)
  findSources(app, config)
  logRequests(app, metrics, config)
  retireConnections(app, lifecycle)
  checkTargets(app, config)
  const paths = collectPaths(app)
  answerCors(app, paths, origins)
  refuseUnknown(app, paths)
  refuseForeignPages(app, origins)
  limitRates(app, limits, metrics)
  guardAccess(app, {
    authenticate: (token) => inTurn(() => authenticate(deps, clients, token)),
    scope: ACCOUNT_SCOPE,
    issuer: config.ISSUER,
  })
  noteCallers(app)
  parseBodies(app)
  writeCookies(app)

  addDocs(app, config)
  app.register(rootRoutes(config, { metadata: AUTHORIZATION_SERVER, keys: KEY_SET }))
  app.register(userRoutes(deps, clients, limits))
  app.register(sessionRoutes(deps, clients, { ...limits, inTurn }))
  app.register(keyRoutes(deps))
  app.register(healthRoutes(deps, lifecycle))
  answerDocuments(app, publicDocuments(deps), deps, lifecycle)
  boundConnections(app, deps)
  return app
}
