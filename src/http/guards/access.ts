import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../errors.ts'
import type { Principal } from '../../principal.ts'
import { challenge } from '../replies/problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route: anybody, or who holds an access token of ours that stands for a caller of this kind. */
    access: Access
    /** Which web pages may read the reply: those of our clients, or any. */
    cors?: 'clients' | 'public'
  }
  interface FastifyRequest {
    /** Who calls. Reading it on a public route throws. */
    readonly principal: Principal
  }
}

type Access = 'public' | Principal['kind']
/** A kind that is not here opens no route: the server does not boot. */
const KNOWN: readonly unknown[] = ['public', 'user'] satisfies Access[]

export interface AccessRules {
  /** Resolves to who stands behind a token. @throws Problem `invalid_token`. */
  authenticate(token: string): Promise<Principal>
  /** Scope that every route needs that is not public. */
  scope: string
  /** Names us in challenges. */
  issuer: string
}

/**
 * Checks that every route says who may call it, or the server does not boot; and checks who calls.
 * Order: before any route; after `limitRates`, before `parseBodies` has any effect.
 */
export function guardAccess(app: FastifyInstance, { authenticate, scope, issuer }: AccessRules): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (!KNOWN.includes(config?.access)) throw new Error(`${String(method)} ${url} declares no access`)
  })

  const principals = new WeakMap<FastifyRequest, Principal>()
  app.decorateRequest('principal', {
    getter(this: FastifyRequest) {
      const principal = principals.get(this)
      if (!principal) throw new Error(`${this.routeOptions.url} reads the principal but is public`)
      return principal
    },
  })

  app.addHook('onRequest', (request, reply, done) => {
    // What is neither public nor unknown needs a token, whatever kinds of access there are.
    if (request.is404 || request.routeOptions.config.access === 'public') return done()
    admit(request, reply).then(() => done(), done)
  })

  const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const principal = await authenticate(bearerToken(request))
    // A token that is good elsewhere, which another one of its kind would not change.
    if (principal.kind !== request.routeOptions.config.access) {
      reply.header('www-authenticate', challenge(issuer, { error: 'insufficient_scope' }))
      throw new Problem('insufficient_scope', { reason: 'another kind of caller' })
    }
    if (!principal.scope.includes(scope)) {
      reply.header('www-authenticate', challenge(issuer, { error: 'insufficient_scope', scope }))
      throw new Problem('insufficient_scope')
    }
    principals.set(request, principal)
  }
}

const MAX_HEADER = 8192

/** The credential of the one Authorization header (RFC 6750 §2.1). No other place is looked at, least of all the cookie. */
function bearerToken({ raw }: FastifyRequest): string {
  // Node keeps the first of several and says nothing, so they are counted where they came in.
  const sent = raw.rawHeaders.filter(
    (_value, index, all) => index % 2 === 1 && all[index - 1]?.toLowerCase() === 'authorization',
  )
  if (sent.length > 1) throw new Problem('invalid_request', { detail: 'Send one Authorization header.' })
  const [header] = sent
  if (header === undefined) throw new Problem('invalid_token', { reason: 'missing' })
  const token = header.length <= MAX_HEADER ? /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header)?.[1] : undefined
  if (token === undefined) throw new Problem('invalid_token', { reason: 'malformed' })
  return token
}
