import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { ACCOUNT_SCOPE, builtInClients, pagesOf } from './clients/clients.ts'
import type { Deps } from './deps.ts'
import { addDocs } from './http/description/description.ts'
import { guardAccess } from './http/guards/access.ts'
import { answerCors } from './http/guards/cors.ts'
import { collectPaths, refuseUnknown } from './http/guards/methods.ts'
import { refuseForeignPages } from './http/guards/origin.ts'
import { findSources } from './http/guards/proxies.ts'
import { checkTargets } from './http/guards/target.ts'
import { createLimits, limitRates } from './http/limits/limits.ts'
import { writeCookies } from './http/replies/cookies.ts'
import { answerDocuments } from './http/replies/documents.ts'
import { sendHeaders } from './http/replies/headers.ts'
import { handleProblems } from './http/replies/problems.ts'
import { parseBodies } from './http/requests/body.ts'
import { boundConnections } from './http/server/connections.ts'
import { healthRoutes, type Lifecycle } from './http/server/health.ts'
import { httpOptions } from './http/server/options.ts'
import { logRequests, noteCallers, retireConnections } from './http/server/request-log.ts'
import { keyRoutes, publicDocuments } from './keys/routes.ts'
import { AUTHORIZATION_SERVER, KEY_SET } from './oauth/metadata.ts'
import { rootRoutes } from './oauth/routes.ts'
import { authenticate } from './sessions/authenticate.ts'
import { sessionRoutes } from './sessions/routes.ts'
import { userRoutes } from './sign-in/routes.ts'
import { createTurns } from './turns.ts'

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
