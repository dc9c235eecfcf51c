import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Clients } from '../../clients/clients.ts'
import type { ServiceClient } from '../../clients/service.ts'
import { asksFor } from '../../http/requests/accept.ts'
import { type ClientForm, clientParameters } from '../../http/requests/client.ts'
import { type Endpoint, oauthEndpoint } from '../../http/requests/endpoint.ts'
import type { Semaphore } from '../../semaphore.ts'
import { type IntrospectionDeps, introspect } from './introspect.ts'

const SIGNED = 'application/token-introspection+jwt'

const IntrospectBody = Type.Object({
  token: Type.String({ description: 'The access token.' }),
  token_type_hint: Type.Optional(Type.String({ description: 'Taken, and not needed.' })),
  ...clientParameters,
})

const Introspection = Type.Object(
  { active: Type.Boolean(), token_type: Type.Optional(Type.Literal('Bearer')) },
  { description: 'The claims of the token are beside these. Of a token that is not active there are none.' },
)

interface Parts {
  clients: Clients
  services: Semaphore
  authenticateClient(request: FastifyRequest, form: ClientForm): Promise<ServiceClient>
}

/** `POST /oauth/introspect` (RFC 7662). */
export function introspectionEndpoint(
  deps: IntrospectionDeps,
  { clients, services, authenticateClient }: Parts,
): Endpoint {
  const answer = async (token: string, caller: ServiceClient, signed: boolean) => {
    const found = await introspect(deps, clients, caller, token)
    if (!signed) return JSON.stringify(found)
    // RFC 9701 §5: no `sub` and no `exp` outside, so that it cannot be taken for a token.
    const iat = Math.floor(deps.clock().getTime() / 1000)
    const claims = { iss: deps.config.ISSUER, aud: caller.id, iat, token_introspection: found }
    return await deps.keyring.sign('token-introspection+jwt', claims)
  }

  return oauthEndpoint(
    {
      tags: ['OAuth'],
      summary: 'Ask what an access token is good for',
      description:
        'For service clients (RFC 7662). A token is active while its session is live, and only for services that its audience names. With `Accept: application/token-introspection+jwt` the answer is signed (RFC 9701).',
      security: [{ clientSecret: [] }, {}],
      body: IntrospectBody,
      response: {
        // Only for the description: strings are sent as they are.
        200: {
          description: 'What the token is',
          content: { 'application/json': { schema: Introspection }, [SIGNED]: { schema: Type.String() } },
        },
      },
      problems: ['invalid_client', 'too_many_requests', 'unavailable'],
    },
    async (request, reply) => {
      const { body } = request
      const caller = await authenticateClient(request, body)
      const signed = asksFor(request.headers.accept, SIGNED)
      const text = await services.run(() => answer(body.token, caller, signed))
      return reply.type(signed ? SIGNED : 'application/json; charset=utf-8').send(text)
    },
  )
}
