import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Clients } from '../../clients/clients.ts'
import type { ServiceClient } from '../../clients/service.ts'
import type { Clock } from '../../clock.ts'
import { Problem } from '../../errors.ts'
import { refuseForeignOrigin } from '../../http/guards/origin.ts'
import { networkOf } from '../../http/guards/proxies.ts'
import type { Limits } from '../../http/limits/limits.ts'
import { type ClientForm, clientParameters, isProved, networkOfCaller } from '../../http/requests/client.ts'
import { proofHeader, proofRequestOf } from '../../http/requests/dpop.ts'
import { type Endpoint, oauthEndpoint } from '../../http/requests/endpoint.ts'
import { operationOf } from '../../http/requests/facts.ts'
import { idempotencyKeyOf, RetryHeaders } from '../../http/requests/idempotency-key.ts'
import { TokenType } from '../../http/requests/schemas.ts'
import type { Stalls } from '../../http/server/stalls.ts'
import type { DpopJudge } from '../../proven-key.ts'
import type { Semaphore } from '../../semaphore.ts'
import type { Refresh } from '../../sessions/refresh/refresh.ts'
import { grantToService } from './client-credentials.ts'

const TokenBody = Type.Object({
  grant_type: Type.String({
    description: '`client_credentials` for services, `refresh_token` for clients that get theirs in the body.',
    examples: ['client_credentials'],
  }),
  refresh_token: Type.Optional(Type.String({ description: 'With `grant_type=refresh_token`, beside `client_id`.' })),
  scope: Type.Optional(Type.String({ description: 'Space-separated. All that there are if it is left out.' })),
  audience: Type.Optional(Type.String({ description: 'One of the client’s, or several separated by spaces.' })),
  resource: Type.Optional(Type.String({ description: 'Another name for `audience` (RFC 8707).' })),
  ...clientParameters,
})

const Reply = Type.Object({
  access_token: Type.String({ examples: ['eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIs…'] }),
  token_type: TokenType,
  expires_in: Type.Integer({ description: 'Seconds.', examples: [600] }),
  scope: Type.Optional(Type.String({ description: 'Space-separated; absent if there is none.' })),
  refresh_token: Type.Optional(Type.String({ description: 'The successor, with `refresh_token`.' })),
  refresh_expires_in: Type.Optional(
    Type.Integer({ description: 'Seconds until the session ends if it is not used, with `refresh_token`.' }),
  ),
})

type Deps = Parameters<typeof grantToService>[0] & { clock: Clock; dpop: DpopJudge }

interface Parts {
  clients: Clients
  limits: Pick<Limits, 'refresh' | 'lookOver' | 'garbage'>
  services: Pick<Semaphore, 'run'>
  authenticateClient(request: FastifyRequest, form: ClientForm): Promise<ServiceClient>
  refresh: Refresh
  stalls: Stalls
}

/** `POST /oauth/token` (RFC 6749 §3.2). Sign-ins are at `/login`: there is no grant that takes a password. */
export function tokenEndpoint(deps: Deps, parts: Parts): Endpoint {
  return oauthEndpoint(
    {
      tags: ['OAuth'],
      summary: 'Get an access token',
      description:
        'As OAuth libraries ask for one (RFC 6749): a service for itself, or a native client in exchange for its refresh token, by the same rule as `/refresh`. A proof in the header `DPoP` (RFC 9449) binds the token of a service to its key; a refresh token that is bound to a key needs one of that key.',
      security: [{ clientSecret: [] }, {}],
      headers: Type.Object({ ...RetryHeaders.properties, ...proofHeader }),
      body: TokenBody,
      response: { 200: { ...Reply, description: 'The tokens' } },
      problems: [
        'invalid_client',
        'invalid_dpop_proof',
        'invalid_grant',
        'invalid_scope',
        'invalid_target',
        'token_too_large',
        'unauthorized_client',
        'unsupported_grant_type',
        'use_dpop_nonce',
      ],
    },
    async (request) => {
      switch (request.body.grant_type) {
        case 'client_credentials':
          return await forService(deps, parts, request, request.body)
        case 'refresh_token':
          return await forRefreshToken(deps, parts, request, request.body)
        default:
          throw new Problem('unsupported_grant_type')
      }
    },
  )
}

async function forService(deps: Deps, parts: Parts, request: FastifyRequest, form: Form) {
  const { clients, services, authenticateClient } = parts
  if (!isProved(request, form) && form.client_id !== undefined && clients.get(form.client_id))
    throw new Problem('unauthorized_client')
  // Dated before the client is read: what verifiers are told when it is disabled reaches as far as that (`disableClient`).
  const operation = operationOf(request, deps.clock())
  // Before the client is looked up: an assertion is good once, and not used up where the proof needs another nonce.
  const proof = deps.dpop.read(proofRequestOf(request))
  const client = await authenticateClient(request, form)
  const network = networkOfCaller(request)
  // After that, so that whoever is no client has nothing verified and nothing remembered.
  const key = proof && (await deps.dpop.prove(proof, network))
  if (proof) await deps.dpop.useUp(proof)
  // Nothing limits how many it asks for, and the signatures of people's refreshes are made by the same threads.
  const grant = () => grantToService(deps, operation, client, { ...askedBy(form), key })
  const { accessToken, tokenType, expiresIn, scope } = await services.run(grant, network)
  return {
    access_token: accessToken,
    token_type: tokenType,
    expires_in: expiresIn,
    ...(scope.length > 0 && { scope: scope.join(' ') }),
  }
}

async function forRefreshToken(deps: Deps, parts: Parts, request: FastifyRequest, form: Form) {
  const { clients, limits, authenticateClient, refresh, stalls } = parts
  if (isProved(request, form)) {
    // Services have no refresh tokens, and those who have them are public clients: anybody can read a secret out of an
    // application, so nothing may depend on one.
    await authenticateClient(request, form)
    throw new Problem('unauthorized_client')
  }
  const { client_id: id, refresh_token: token } = form
  if (id === undefined || token === undefined)
    throw new Problem('invalid_request', { detail: 'client_id and refresh_token are needed.' })
  const client = clients.get(id)
  if (!client) throw new Problem('invalid_client', { reason: 'unknown_client' })
  refuseForeignOrigin(request, client)
  const proof = deps.dpop.read(proofRequestOf(request))
  const arrivedAt = new Date(deps.clock().getTime() - stalls.before())
  const { scope, audience } = askedBy(form)
  const issued = await refresh(operationOf(request, arrivedAt), {
    token,
    delivery: 'body',
    clientId: id,
    idempotencyKey: idempotencyKeyOf(request),
    prove: async () => proof && (await deps.dpop.prove(proof, networkOf(request.source.address))),
    scope,
    audience,
    isGone: () => request.raw.socket.destroyed,
    spend: () => limits.refresh(request),
    spendLook: () => limits.lookOver(request),
    spendOnGarbage: () => limits.garbage(request),
  })
  request.noted = { userId: issued.subject.id, familyId: issued.sessionId }
  return {
    access_token: issued.accessToken,
    token_type: issued.tokenType,
    expires_in: issued.expiresIn,
    scope: issued.scope,
    refresh_token: issued.refreshToken,
    refresh_expires_in: issued.refreshExpiresIn,
  }
}

type Form = Static<typeof TokenBody>

/** Parameters are sent once here, so several audiences are separated by spaces, as scopes are. */
function askedBy({ scope, audience, resource }: Form) {
  const items = [audience, resource].flatMap((text) => text?.split(' ') ?? [])
  return { scope, audience: items.length === 0 ? undefined : items }
}
