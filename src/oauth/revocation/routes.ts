import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Clients } from '../../clients/clients.ts'
import type { ServiceClient } from '../../clients/service.ts'
import { refuseForeignOrigin } from '../../http/guards/origin.ts'
import { networkOf } from '../../http/guards/proxies.ts'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { type ClientForm, clientParameters, isProved } from '../../http/requests/client.ts'
import { type Endpoint, oauthEndpoint } from '../../http/requests/endpoint.ts'
import { operationOf } from '../../http/requests/facts.ts'
import { accepted } from '../../http/requests/schemas.ts'
import type { Metrics } from '../../metrics.ts'
import type { Semaphore } from '../../semaphore.ts'
import { createRevoke } from './revoke.ts'

const RevokeBody = Type.Object({
  token: Type.String({ description: 'A refresh token, or an access token.' }),
  token_type_hint: Type.Optional(Type.String({ description: 'Taken, and not needed.' })),
  ...clientParameters,
})

interface Parts {
  clients: Clients
  limits: Pick<Limits, 'logout'>
  semaphore: Semaphore
  authenticateClient(request: FastifyRequest, form: ClientForm): Promise<ServiceClient>
}

/** `POST /oauth/revoke` (RFC 7009). */
export function revocationEndpoint(
  deps: Parameters<typeof createRevoke>[0] & { metrics: Metrics },
  { clients, limits, semaphore, authenticateClient }: Parts,
): Endpoint {
  const revoke = createRevoke(deps, semaphore)
  return oauthEndpoint(
    {
      tags: ['OAuth'],
      summary: 'End the session of a token',
      description:
        'Of a refresh token of the client, or of an access token of it that has the scope `account`. Answers the same when there was nothing to end (RFC 7009). Native and browser clients name themselves by `client_id` alone.',
      security: [{ clientSecret: [] }, {}],
      body: RevokeBody,
      response: { 200: accepted('The token is good for nothing any more') },
      problems: ['invalid_client', 'invalid_grant', 'unsupported_token_type'],
    },
    async (request, reply) => {
      const { body } = request
      // A public client has nothing to prove itself by. What is sent as a proof all the same is judged as one.
      const named = isProved(request, body) ? undefined : clients.get(body.client_id ?? '')
      if (named) refuseForeignOrigin(request, named)
      refuseOver(await limits.logout(request), deps.metrics)
      const client = named ?? (await authenticateClient(request, body))
      const network = networkOf(request.source.address)
      await revoke(operationOf(request, deps.clock()), { clientId: client.id, token: body.token, network })
      return reply.code(200).send(undefined)
    },
  )
}
