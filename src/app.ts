import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { ACCOUNT_SCOPE, type Clients } from './clients/clients.ts'
import type { ServiceClient } from './clients/service.ts'
import type { Deps } from './deps.ts'
import { describeRoutes } from './http/description/description.ts'
import { guardAccess } from './http/guards/access.ts'
import { answerCors } from './http/guards/cors.ts'
import { collectPaths, refuseUnknown } from './http/guards/methods.ts'
import { refuseForeignPages } from './http/guards/origin.ts'
import { findSources } from './http/guards/proxies.ts'
import { checkTargets } from './http/guards/target.ts'
import { believeVisitors } from './http/guards/visitors.ts'
import { createLimits, type Limits, limitRates } from './http/limits/limits.ts'
import type { LimitName } from './http/limits/policies.ts'
import { writeCookies } from './http/replies/cookies.ts'
import { answerDocuments } from './http/replies/documents.ts'
import { sendHeaders } from './http/replies/headers.ts'
import { handleProblems } from './http/replies/problems.ts'
import { parseBodies } from './http/requests/body.ts'
import { type ClientForm, clientsOfRequests, presentedClient } from './http/requests/client.ts'
import { createKeyProof, sendNonces } from './http/requests/dpop.ts'
import type { Route } from './http/requests/endpoint.ts'
import { operationOf } from './http/requests/facts.ts'
import { boundConnections } from './http/server/connections.ts'
import { healthEndpoints, type Lifecycle } from './http/server/health.ts'
import { httpOptions, TIMEOUTS } from './http/server/options.ts'
import { logRequests, noteCallers, retireConnections } from './http/server/request-log.ts'
import { type Stalls, watchStalls } from './http/server/stalls.ts'
import { keySet } from './keys/routes.ts'
import { createClientAuthentication, SERVICES, SITES } from './oauth/authenticate-client.ts'
import { createFollowerAuthentication } from './oauth/authenticate-follower.ts'
import { AUTHORIZATION_SERVER, INTROSPECTION, KEY_SET, OPENID, REVOCATION, TOKEN } from './oauth/metadata.ts'
import { metadataEndpoints, oauthEndpoints } from './oauth/routes.ts'
import { createVisitorProof } from './oauth/visitor-proof.ts'
import { CHANGE_PASSWORD, pageEndpoints, passwordPointer } from './pages/routes.ts'
import { answerWithPages } from './pages/visits/routes.ts'
import { RECEIPTS, REVOCATION_STREAM, REVOCATIONS } from './revocations/paths.ts'
import { feedEndpoints } from './revocations/routes.ts'
import { createSemaphore, type Semaphore } from './semaphore.ts'
import { createAuthentication, STRANGERS } from './sessions/authenticate.ts'
import { createRefresh } from './sessions/refresh/refresh.ts'
import { refreshEndpoints } from './sessions/refresh/routes.ts'
import { sessionEndpoints } from './sessions/routes.ts'
import { mailboxEndpoints } from './sign-in/mailbox/routes.ts'
import { signInEndpoints } from './sign-in/routes.ts'
import { userEndpoints } from './users/routes.ts'

interface Parts {
  clients: Clients
  limits: Limits
  semaphore: Semaphore
  services: Semaphore
  /** Which service client sends a request. @throws Problem `invalid_client`. */
  authenticateClient: (request: FastifyRequest, form: ClientForm) => Promise<ServiceClient>
  stalls: Stalls
  lifecycle: Lifecycle
  /** Undefined if DOCS is off, which is the default in production. */
  description: ReturnType<typeof describeRoutes> | undefined
  /** What verifiers are told of, and what they report. */
  feed: ReturnType<typeof feedEndpoints>
}

/** The handler takes from the limit once it knows that the request does not come from a foreign page. */
const handler = (name: LimitName) => ({ name, by: 'handler' }) as const
const memory = { none: 'from memory' }

/** Every endpoint but the pages. Nothing else is served. */
function listRoutes(deps: Deps, parts: Parts): Route[] {
  const { clients, limits, semaphore, stalls, lifecycle, description, feed } = parts
  const people = signInEndpoints(deps, clients, limits)
  const mailbox = mailboxEndpoints(deps, clients, limits)
  const users = userEndpoints(deps, clients, limits)
  // One for both endpoints: rotations wait in a single queue.
  const refresh = createRefresh(deps, clients, limits.retry)
  const tokens = refreshEndpoints(deps, clients, limits, { refresh, semaphore, stalls })
  const sessions = sessionEndpoints(deps)
  const oauth = oauthEndpoints(deps, { ...parts, refresh })
  const metadata = metadataEndpoints(deps.config)
  const password = passwordPointer(deps.config)
  const probes = healthEndpoints(deps, lifecycle)
  const services = { none: 'for services that have proved themselves: what counts is failures to do so' }
  const signed = { none: 'one signature a second for each part, whoever asks' }
  const streams = { none: 'so many are open at a time, of an address and of all' }
  const shared = { none: 'one question to the database at a time, whoever asks' }

  // biome-ignore format: columns
  const routes: Route[] = [
    // Method, path, who may call, what a call takes from, which pages may read the reply, who answers.
    ['POST',   '/register',          'public', handler('register'), 'clients', people.register],
    ['POST',   '/login',             'public', handler('login'),    'clients', people.login],
    ['POST',   '/invitations/accept', 'public', handler('register'), 'clients', mailbox.acceptInvitation],
    ['POST',   '/refresh',           'public', handler('refresh'),  'clients', tokens.refresh],
    ['POST',   '/logout',            'public', handler('logout'),   'clients', tokens.logout],
    ['POST',   RECEIPTS,             'public', services,            'none',    feed.receipts],
    ['POST',   TOKEN,                'public', handler('refresh'),  'clients', oauth.token],
    ['POST',   REVOCATION,           'public', handler('logout'),   'clients', oauth.revoke],
    ['POST',   INTROSPECTION,        'public', services,            'none',    oauth.introspect],
    ['GET',    '/me',                'user',   'account',           'clients', users.me],
    ['POST',   '/password',          'user',   'login',             'clients', people.changePassword],
    ['GET',    '/sessions',          'user',   'account',           'clients', sessions.list],
    ['DELETE', '/sessions/:id',      'user',   'account',           'clients', sessions.end],
    ['DELETE', '/sessions',          'user',   'account',           'clients', sessions.endOthers],
    ['GET',    KEY_SET,              'public', memory,              'public',  keySet(deps.keyring)],
    ['GET',    AUTHORIZATION_SERVER, 'public', memory,              'public',  metadata.authorizationServer],
    ['GET',    OPENID,               'public', memory,              'public',  metadata.openid],
    ['GET',    REVOCATIONS,          'public', signed,              'public',  feed.list],
    ['GET',    REVOCATION_STREAM,    'public', streams,             'public',  feed.stream],
    ['GET',    '/',                  'public', memory,              'clients', metadata.about],
    ['GET',    '/livez',             'public', memory,              'clients', probes.alive],
    ['GET',    '/readyz',            'public', shared,              'clients', probes.ready],
  ]
  // biome-ignore format: columns
  if (deps.config.mail !== 'off') routes.push(
    ['POST',   '/password/forgot',   'public', handler('forgot'),   'clients', mailbox.forgot],
    ['POST',   '/password/reset',    'public', handler('login'),    'clients', mailbox.reset],
    ['POST',   '/email/resend',      'public', handler('forgot'),   'clients', mailbox.resend],
    ['POST',   '/email/verify',      'public', handler('login'),    'clients', mailbox.verify],
    ['POST',   '/email',             'user',   'login',             'clients', users.askForEmail],
    ['POST',   '/email/confirm',     'optional', handler('login'),  'clients', users.confirmEmail],
    ['POST',   '/email/undo',        'public', handler('login'),    'clients', users.undoEmail],
  )
  if (password) routes.push(['GET', CHANGE_PASSWORD, 'public', memory, 'none', password])
  if (!description) return routes
  // biome-ignore format: columns
  return [
    ...routes,
    ['GET',    '/openapi.json',      'public', memory,              'clients', description.json],
    ['GET',    '/docs',              'public', memory,              'clients', description.page],
    ['GET',    '/docs/:file',        'public', memory,              'clients', description.pageFile],
  ]
}

/** What people see and fill in. Pages of other origins may not read it, and forms are taken from these pages alone. */
function listPages(deps: Deps, parts: Parts): Route[] {
  if (deps.config.PAGES === 'off') return []
  const pages = pageEndpoints(deps, parts)

  // biome-ignore format: columns
  const routes: Route[] = [
    ['GET',  '/account',              'public', handler('account'),  'none', pages.account],
    ['POST', '/account',              'public', handler('account'),  'none', pages.endSessions],
    ['GET',  '/account/sign-in',      'public', handler('account'),  'none', pages.signIn],
    ['POST', '/account/sign-in',      'public', handler('login'),    'none', pages.sendSignIn],
    ['POST', '/account/sign-out',     'public', handler('logout'),   'none', pages.signOut],
    ['GET',  '/account/register',     'public', memory,              'none', pages.register],
    ['POST', '/account/register',     'public', handler('register'), 'none', pages.sendRegister],
    ['GET',  '/account/password',     'public', handler('account'),  'none', pages.password],
    ['POST', '/account/password',     'public', handler('login'),    'none', pages.sendPassword],
    ['GET',  '/account/invitation',   'public', memory,              'none', pages.invitation.show],
    ['POST', '/account/invitation',   'public', handler('register'), 'none', pages.invitation.send],
    ['GET',  '/account/style.css',    'public', memory,              'none', pages.style],
    ['GET',  '/account/script.js',    'public', memory,              'none', pages.script],
    ['GET',  '/account/logo',         'public', memory,              'none', pages.logo],
  ]
  if (deps.config.mail === 'off') return routes
  // biome-ignore format: columns
  return [
    ...routes,
    ['GET',  '/account/forgot',       'public', memory,              'none', pages.forgot.show],
    ['POST', '/account/forgot',       'public', handler('forgot'),   'none', pages.forgot.send],
    ['GET',  '/account/reset',        'public', memory,              'none', pages.reset.show],
    ['POST', '/account/reset',        'public', handler('login'),    'none', pages.reset.send],
    ['GET',  '/account/verify',       'public', memory,              'none', pages.verify.show],
    ['POST', '/account/verify',       'public', handler('login'),    'none', pages.verify.send],
    ['GET',  '/account/resend',       'public', memory,              'none', pages.resend.show],
    ['POST', '/account/resend',       'public', handler('forgot'),   'none', pages.resend.send],
    ['GET',  '/account/change-email', 'public', handler('account'),  'none', pages.changeEmail.show],
    ['POST', '/account/change-email', 'public', handler('login'),    'none', pages.changeEmail.send],
    ['GET',  '/account/email',        'public', memory,              'none', pages.email.show],
    ['POST', '/account/email',        'public', handler('login'),    'none', pages.email.send],
    ['GET',  '/account/undo',         'public', memory,              'none', pages.undo.show],
    ['POST', '/account/undo',         'public', handler('login'),    'none', pages.undo.send],
  ]
}

/** The whole HTTP surface. Opens no port: the caller listens, or injects. */
export function createApp(deps: Deps, lifecycle: Lifecycle = { stopping: false }): FastifyInstance {
  const { config, log, metrics, clients } = deps
  const limits = createLimits(deps)
  const semaphore = createSemaphore(STRANGERS)
  const services = createSemaphore(SERVICES)
  const findClient = createClientAuthentication(deps, services)
  const around = { ...deps, limits }
  const authenticateClient = clientsOfRequests(findClient, around)
  const authenticateFollower = clientsOfRequests(createFollowerAuthentication(deps, findClient, services), around)
  const proveSite = createVisitorProof(createClientAuthentication(deps, createSemaphore(SITES)))
  // Declared with Fastify's own type: with pino's, the app would not fit the types of plugins.
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
  const paths = collectPaths(app)
  handleProblems(app, config, paths)
  sendHeaders(app, config)
  sendNonces(app, deps.dpop)
  findSources(app, config)
  logRequests(app, metrics, config)
  retireConnections(app, lifecycle)
  checkTargets(app, config)
  answerCors(app, paths, clients.pages)
  refuseUnknown(app, paths)
  refuseForeignPages(app, clients.pages)
  believeVisitors(app, (request) =>
    proveSite(operationOf(request, deps.clock()), presentedClient({ limits, metrics }, request, {})),
  )
  limitRates(app, limits, metrics)
  guardAccess(app, {
    authenticate: createAuthentication(deps, semaphore),
    proveKey: createKeyProof(deps.dpop),
    scope: ACCOUNT_SCOPE,
    issuer: config.ISSUER,
  })
  noteCallers(app)
  parseBodies(app)
  writeCookies(app)

  const stalls = watchStalls()
  app.addHook('onClose', async () => stalls.stop())
  const description = config.DOCS ? describeRoutes(app, config) : undefined
  const feed = feedEndpoints(app, deps, (request) => authenticateFollower(request, {}))
  const parts = { clients, limits, semaphore, services, authenticateClient, stalls, lifecycle, description, feed }
  const routes = listRoutes(deps, parts)
  const add = (scope: FastifyInstance, rows: Route[]): void => {
    for (const [method, url, access, limit, cors, { schema, handler, form = false, errors }] of rows)
      scope.route({ method, url, config: { access, limit, cors, form, errors }, schema, handler })
  }
  app.register(async (scope) => add(scope, routes))
  app.register(async (scope) => {
    answerWithPages(scope, config)
    add(scope, listPages(deps, parts))
  })
  answerDocuments(app, routes, deps, lifecycle)
  boundConnections(app, deps)
  return app
}
