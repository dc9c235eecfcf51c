import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../errors.ts'
import type { Principal } from '../../principal.ts'
import type { ProvenKey } from '../../proven-key.ts'
import { challenge, type TokenScheme } from '../replies/problems.ts'
import { authorizationOf } from '../requests/authorization.ts'
import type { KeyProof } from '../requests/dpop.ts'
import { networkOf } from './proxies.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Who may call the route: anybody; anybody, and a user is known by the access token that comes along (`optional`); or the
     * holder of an access token for a caller of this kind.
     */
    access: Access
    /** Which web pages may read the reply: those of our clients, any, or none but our own. */
    cors?: 'clients' | 'public' | 'none'
  }
  interface FastifyRequest {
    /** The caller. Reading it throws on a public route, and where none was needed and none came. */
    readonly principal: Principal
    /** The caller, if it is known. */
    readonly caller: Principal | undefined
  }
}

type Access = 'public' | 'optional' | Principal['kind']
/** A route with a kind that is not listed here stops the server from booting. */
const KNOWN: readonly unknown[] = ['public', 'optional', 'user'] satisfies Access[]

export interface AccessRules {
  /**
   * Resolves to the caller behind a token.
   * @param key that the caller has proved; undefined for the scheme Bearer.
   * @param network that the request came from.
   * @throws Problem `invalid_token`, `invalid_dpop_proof`.
   */
  authenticate(token: string, key: ProvenKey | undefined, network: string): Promise<Principal>
  /** Proves the key of the sender. @throws Problem `invalid_dpop_proof`, `use_dpop_nonce`. */
  proveKey(request: FastifyRequest, token: string, network: string): Promise<KeyProof>
  /** The scope that every route needs unless it is public. */
  scope: string
  /** Names this server in challenges. */
  issuer: string
}

/**
 * Checks that every route declares who may call it, or else the server does not boot, and admits only those callers.
 * Order: before any route; after `limitRates`, before `parseBodies` has any effect.
 */
export function guardAccess(app: FastifyInstance, { authenticate, proveKey, scope, issuer }: AccessRules): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (!KNOWN.includes(config?.access)) throw new Error(`${String(method)} ${url} declares no access`)
  })

  const principals = new WeakMap<FastifyRequest, Principal>()
  app.decorateRequest('principal', {
    getter(this: FastifyRequest) {
      const principal = principals.get(this)
      if (!principal) throw new Error(`${this.routeOptions.url} reads the principal of a caller that it may not know`)
      return principal
    },
  })
  app.decorateRequest('caller', {
    getter(this: FastifyRequest) {
      return principals.get(this)
    },
  })

  app.addHook('onRequest', (request, reply, done) => {
    // Everything else needs a token, whatever its kind of access: a new kind is protected from the start.
    const { access } = request.routeOptions.config
    if (request.is404 || access === 'public') return done()
    // A token that is sent and is bad is refused here too: its owner would else be taken for nobody.
    const isToken = request.headers.authorization !== undefined && request.source.statedBy === undefined
    if (access === 'optional' && !isToken) return done()
    admit(request, reply).then(() => done(), done)
  })

  const identify = async (request: FastifyRequest, scheme: TokenScheme, token: string): Promise<Principal> => {
    const network = networkOf(request.source.address)
    const proof = scheme === 'DPoP' ? await proveKey(request, token, network) : undefined
    const principal = await authenticate(token, proof?.key, network)
    // Not before: the memory of proofs is bounded, and strangers, who can sign as well as anybody, must not have it forget.
    await proof?.useUp()
    return principal
  }

  const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { scheme, token } = presentedToken(request)
    const principal = await identify(request, scheme, token).catch(refuseCredential)
    // The token is valid, but for another kind of caller, so no other scope would help: none is named in the challenge.
    const { access } = request.routeOptions.config
    if (principal.kind !== (access === 'optional' ? 'user' : access)) {
      reply.header('www-authenticate', challenge(scheme, issuer, { error: 'insufficient_scope' }))
      throw new Problem('insufficient_scope', { reason: 'another kind of caller' })
    }
    if (!principal.scope.includes(scope)) {
      reply.header('www-authenticate', challenge(scheme, issuer, { error: 'insufficient_scope', scope }))
      throw new Problem('insufficient_scope')
    }
    principals.set(request, principal)
  }
}

/** Beside an access token a proof is part of the credential: what is wrong with it is a 401 (RFC 9449 §7.1). */
function refuseCredential(error: unknown): never {
  if (!(error instanceof Problem) || (error.code !== 'invalid_dpop_proof' && error.code !== 'use_dpop_nonce'))
    throw error
  throw new Problem(error.code, { unproven: true, ...(error.reason ? { reason: error.reason } : {}) })
}

const MAX_HEADER = 8192

/**
 * The access token of the Authorization header (RFC 6750 §2.1, RFC 9449 §7.1), the only place that counts. The cookie must
 * never count here.
 */
function presentedToken(request: FastifyRequest): { scheme: TokenScheme; token: string } {
  const header = authorizationOf(request)
  if (header === undefined) throw new Problem('invalid_token', { reason: 'missing' })
  const parts = header.length <= MAX_HEADER ? /^(bearer|dpop) +([A-Za-z0-9._~+/-]+=*)$/i.exec(header) : undefined
  const [, scheme = '', token] = parts ?? []
  if (token === undefined) throw new Problem('invalid_token', { reason: 'malformed' })
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
}
