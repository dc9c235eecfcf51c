import { Type } from 'typebox'
import type { Client, Clients } from '../../clients/clients.ts'
import { Problem } from '../../errors.ts'
import { refuseForeignOrigin } from '../../http/guards/origin.ts'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { type Endpoint, oauthEndpoint } from '../../http/requests/endpoint.ts'
import { operationOf } from '../../http/requests/facts.ts'
import { accepted } from '../../http/requests/schemas.ts'
import type { Metrics } from '../../metrics.ts'
import type { Semaphore } from '../../semaphore.ts'
import { createRevoke } from './revoke.ts'

const RevokeBody = Type.Object({
  token: Type.String({ description: 'A refresh token, or an access token.' }),
  token_type_hint: Type.Optional(Type.String({ description: 'Taken, and not needed.' })),
  client_id: Type.Optional(Type.String({ description: 'Of a public client.', examples: ['native'] })),
})

/** `POST /oauth/revoke` (RFC 7009). */
export function revocationEndpoint(
  deps: Parameters<typeof createRevoke>[0] & { metrics: Metrics },
  { clients, limits, semaphore }: { clients: Clients; limits: Pick<Limits, 'logout'>; semaphore: Semaphore },
): Endpoint {
  const revoke = createRevoke(deps, semaphore)
  return oauthEndpoint(
    {
      tags: ['OAuth'],
      summary: 'End the session of a token',
      description:
        'Of a refresh token of the client, or of an access token of it that has the scope `account`. Answers the same when there was nothing to end (RFC 7009).',
      body: RevokeBody,
      response: { 200: accepted('The token is good for nothing any more') },
      problems: ['invalid_client', 'invalid_grant', 'unsupported_token_type'],
    },
    async (request, reply) => {
      const { token, client_id: id } = request.body
      const client = publicClient(clients, id)
      refuseForeignOrigin(request, client)
      refuseOver(await limits.logout(request), deps.metrics)
      await revoke(operationOf(request, deps.clock()), { clientId: client.id, token })
      return reply.code(200).send(undefined)
    },
  )
}

function publicClient(clients: Clients, id: string | undefined): Client {
  const client = id === undefined ? undefined : clients.get(id)
  if (!client) throw new Problem('invalid_client')
  return client
}
