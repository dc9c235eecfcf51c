import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { admit, authorizationOf } from './bearer.ts'
import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'
import { type ParsedRequirements, parseRequirements, type Requirements, requireAll } from './requirements.ts'
import type { Verifier } from './verifier.ts'

/** Who may call a route: everybody, or whoever has a good token that grants this. A route that says nothing needs a token. */
export type RouteAuth = 'public' | Requirements

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
}

const NOTHING: ParsedRequirements = { scopes: [], roles: [] }

const plugin: FastifyPluginAsync<FastifyOptions> = async (app, { verify }) => {
  if (typeof verify !== 'function') throw new TypeError('bearerAuth needs { verify }, made by createVerifier')
  const verified = new WeakMap<FastifyRequest, Claims>()
  app.decorateRequest('claims', {
    getter(this: FastifyRequest) {
      const claims = verified.get(this)
      if (!claims) throw new Error(`${this.routeOptions.url} reads the claims of a token, but none was verified`)
      return claims
    },
  })

  // A slip in the configuration of a route stops the start; nobody waits for a request to find it.
  app.addHook('onRoute', ({ method, url, config }) => {
    try {
      readAuth(config?.auth)
    } catch (error) {
      throw new TypeError(`${String(method)} ${url}: ${(error as Error).message}`)
    }
  })

  // The first hook that sees a request: nothing of its body is read for somebody who may not call.
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return
    const needed = readAuth(request.routeOptions.config.auth)
    if (needed === 'public') return
    try {
      verified.set(request, await admit(verify, authorizationOf(request.raw), needed))
    } catch (error) {
      throw error instanceof VerificationError ? refuse(error, reply) : error
    }
  })
}

/** What the route has said; without a word, a token is needed. @throws TypeError */
function readAuth(auth: unknown): 'public' | ParsedRequirements {
  if (auth === undefined) return NOTHING
  if (auth === 'public') return auth
  if (typeof auth !== 'object') throw new TypeError('config.auth is "public" or { scope, role }')
  return parseRequirements(auth)
}

/**
 * What the application's error handler gets: status and challenge for the client, and for the log (`cause`) what failed.
 * Its own message says nothing, because Fastify sends it.
 */
function refuse(cause: VerificationError, reply: FastifyReply): Error {
  const { status, headers } = cause
  // Here too: an error handler that makes its own answer may not think of them.
  reply.headers({ ...headers, 'cache-control': 'no-store' })
  const title = { 401: 'Unauthorized', 403: 'Forbidden', 503: 'Service Unavailable' }[status]
  return Object.assign(new Error(title, { cause }), { statusCode: status, headers })
}

/**
 * Puts every route that is registered after it, in the same instance and those below, behind a token. What is registered
 * without `{ config: { auth: 'public' } }` needs one.
 */
export const bearerAuth: FastifyPluginAsync<FastifyOptions> = Object.assign(plugin, {
  // Hooks and decorators belong to whoever registers it, not to a scope of its own: what fastify-plugin does.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@claviger/verifier',
})

/** For `preHandler`, where a requirement is not of the whole route's. @throws TypeError if it makes no sense. */
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
