import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Clients } from '../../clients/clients.ts'
import type { ServiceClient } from '../../clients/service.ts'
import { asksFor } from '../../http/requests/accept.ts'
import { type ClientForm, clientParameters, networkOfCaller } from '../../http/requests/client.ts'
import { type Endpoint, oauthEndpoint } from '../../http/requests/endpoint.ts'
import { TokenType } from '../../http/requests/schemas.ts'
import type { Semaphore } from '../../semaphore.ts'
import { type Introspection, type IntrospectionDeps, introspect } from './introspect.ts'

const SIGNED = 'application/token-introspection+jwt'

const IntrospectBody = Type.Object({
  token: Type.String({ description: 'The access token.' }),
  token_type_hint: Type.Optional(Type.String({ description: 'Taken, and not needed.' })),
  response: Type.Optional(
    Type.Literal('headers', {
      description:
        'For gateways that read no bodies: the answer is 403 for a token that is not active, and for one that is bound to a key, whose proof they could not check. For any other it has `Claviger-Subject`, `Claviger-Client-Id` and `Claviger-Scope`.',
    }),
  ),
  ...clientParameters,
})

const IntrospectionReply = Type.Object(
  { active: Type.Boolean(), token_type: Type.Optional(TokenType) },
  {
    description:
      'The claims of the token are beside these. Of a token that is not active there are none. One whose `token_type` is `DPoP` is good only with a proof of the key that its `cnf` names (RFC 9449 §6.2).',
    additionalProperties: true,
    examples: [
      {
        iss: 'https://auth.example.com',
        sub: '41ceb336-5b0e-8f6a-9c1d-3f1f0a6f2b11',
        aud: 'reports',
        client_id: 'native',
        iat: 1795812538,
        exp: 1795813138,
        jti: 'zTpqu2pee5INfpdf6wmYUA',
        sid: '9b2e7d10-5c1a-8222-8333-444455556666',
        scope: 'account',
        auth_time: 1795812538,
        amr: ['pwd'],
        roles: [],
        active: true,
        token_type: 'Bearer',
      },
    ],
  },
)

/**
 * Not 401 for a token that is refused: that is about the credentials of whoever asks. A bound token is among those, because who
 * reads no body cannot tell it from others, and would let in whoever stole it.
 */
function showInHeaders(reply: FastifyReply, found: Introspection): void {
  if (!found.active || found.token_type === 'DPoP') return void reply.code(403)
  reply.headers({ 'claviger-subject': found.sub, 'claviger-client-id': found.client_id })
  if (found.scope) reply.header('claviger-scope', found.scope)
}

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
  const write = async (found: Introspection, caller: ServiceClient, signed: boolean): Promise<string> => {
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
          content: { 'application/json': { schema: IntrospectionReply }, [SIGNED]: { schema: Type.String() } },
        },
      },
      problems: ['invalid_client', 'too_many_requests', 'unavailable'],
    },
    async (request, reply) => {
      const { body } = request
      const caller = await authenticateClient(request, body)
      const signed = asksFor(request.headers.accept, SIGNED)
      const [found, text] = await services.run(async () => {
        const judged = await introspect(deps, clients, caller, body.token)
        return [judged, await write(judged, caller, signed)] as const
      }, networkOfCaller(request))
      if (body.response === 'headers') showInHeaders(reply, found)
      return reply.type(signed ? SIGNED : 'application/json; charset=utf-8').send(text)
    },
  )
}
