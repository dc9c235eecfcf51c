import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { admit, credentialsOf, type ParsedRoute, parseRoute, type RouteRequirements } from './bearer.ts'
import type { Claims } from './claims.ts'
import type { RouteDpop } from './dpop/options.ts'
import { VerificationError } from './errors.ts'
import { parseRequirements, type Requirements, requireAll } from './requirements.ts'
import type { Verifier } from './verifier.ts'

/** Who may call a route: everybody, or the holder of a good token that grants this. Without it, a route needs a token. */
export type RouteAuth = 'public' | RouteRequirements

declare module 'fastify' {
  interface FastifyContextConfig {
    auth?: RouteAuth
  }
  interface FastifyRequest {
    /** Of the token. Reading it on a public route throws. */
    readonly claims: Claims
  }
}

export interface FastifyOptions {
  verify: Verifier
  /** For the routes that say nothing of it. What is left out stays as it is in the verifier. */
  dpop?: RouteDpop
}

const plugin: FastifyPluginAsync<FastifyOptions> = async (app, { verify, dpop }) => {
  if (typeof verify !== 'function') throw new TypeError('bearerAuth needs { verify }, made by createVerifier')
  const readAuth = createReader(verify, dpop)
  const verified = new WeakMap<FastifyRequest, Claims>()
  app.decorateRequest('claims', {
    getter(this: FastifyRequest) {
      const claims = verified.get(this)
      if (!claims) throw new Error(`${this.routeOptions.url} reads the claims of a token, but none was verified`)
      return claims
    },
  })

  // A mistake in the configuration of a route shows at the start, not at the first request.
  app.addHook('onRoute', ({ method, url, config }) => {
    try {
      readAuth(config?.auth)
    } catch (error) {
      throw new TypeError(`${String(method)} ${url}: ${(error as Error).message}`)
    }
  })

  // In the first hook, so that the body of a caller without access is not read.
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return
    const needed = readAuth(request.routeOptions.config.auth)
    if (needed === 'public') return
    try {
      verified.set(request, await admit(verify, credentialsOf(request.raw), needed))
    } catch (error) {
      throw error instanceof VerificationError ? refuse(error, reply) : error
    }
  })
}

/** What a route requires; a token unless it says otherwise. @throws TypeError */
function createReader(verify: Verifier, usual: RouteDpop | undefined): (auth: unknown) => 'public' | ParsedRoute {
  const nothing = parseRoute({}, verify, usual)
  const parsed = new WeakMap<object, ParsedRoute>()
  return (auth) => {
    if (auth === undefined) return nothing
    if (auth === 'public') return auth
    if (typeof auth !== 'object' || auth === null) {
      throw new TypeError('config.auth is "public" or { scope, role, revocations, dpop }')
    }
    const route = parsed.get(auth) ?? parseRoute(auth, verify, usual)
    parsed.set(auth, route)
    return route
  }
}

/**
 * What the application's error handler gets: status and challenge for the client, and `cause` for the log. The message
 * itself discloses nothing, because Fastify sends it to the client.
 */
function refuse(cause: VerificationError, reply: FastifyReply): Error {
  const { status, headers } = cause
  // Set here too, because an error handler that writes its own answer may forget them.
  reply.headers({ ...headers, 'cache-control': 'no-store' })
  const title = { 401: 'Unauthorized', 403: 'Forbidden', 503: 'Service Unavailable' }[status]
  return Object.assign(new Error(title, { cause }), { statusCode: status, headers })
}

/**
 * Requires a token for every route that is registered afterwards in the same instance and those below, unless it has
 * `{ config: { auth: 'public' } }`.
 */
export const bearerAuth: FastifyPluginAsync<FastifyOptions> = Object.assign(plugin, {
  // As fastify-plugin does: hooks and decorators apply to the instance that registers this, not to a scope of their
  // own.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@claviger/verifier',
})

/** For `preHandler`, if a requirement cannot be stated for the whole route. @throws TypeError if it makes no sense. */
export function requires(requirements: Requirements): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const parsed = parseRequirements(requirements)
  return async (request, reply) => {
    try {
      requireAll(request.claims, parsed)
    } catch (error) {
      throw error instanceof VerificationError ? refuse(error, reply) : error
    }
  }
}
