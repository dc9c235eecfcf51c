import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Clock } from '../../clock.ts'
import type { Metrics } from '../../metrics.ts'
import type { Operation } from '../../operation.ts'
import { networkOf } from '../guards/proxies.ts'
import { type Limits, refuseOver } from '../limits/limits.ts'
import { authorizationOf } from './authorization.ts'
import { operationOf } from './facts.ts'

/** The parameters of a form by which a client names itself and proves who it is, for the schemas of endpoints. */
export const clientParameters = {
  client_id: Type.Optional(Type.String({ description: 'Where no header Authorization names the client.' })),
  client_secret: Type.Optional(Type.String({ description: 'Of clients that are registered to send it here.' })),
  client_assertion_type: Type.Optional(Type.String({ description: 'RFC 7523 §2.2.' })),
  client_assertion: Type.Optional(Type.String({ description: 'RFC 7523 §2.2.' })),
}

/** Of a form, the parameters by which a service client may prove itself. */
export interface ClientForm {
  client_id?: string
  client_secret?: string
  client_assertion?: string
  client_assertion_type?: string
}

/** Whether a request states something to prove its client by, be it right or wrong. */
export function isProved({ headers, source }: FastifyRequest, form: ClientForm): boolean {
  // A site that states its visitor's address proves that it may. What the visitor's application asks for is another matter.
  const isForVisitor =
    source.statedBy !== undefined && form.client_id !== undefined && form.client_id !== source.statedBy
  const proofs = [form.client_secret, form.client_assertion, ...(isForVisitor ? [] : [headers.authorization])]
  return proofs.some((part) => part !== undefined)
}

/**
 * The network of whoever sent the request. Of a site it is its own: by the visitor's, visitors who fail on purpose would hold the
 * site off.
 */
export function networkOfCaller({ source: { address, statedBy, statedFrom } }: FastifyRequest): string {
  return networkOf(statedBy === undefined ? address : statedFrom)
}

/** What a request presents to authenticate its client, as `AuthenticateClient` takes it. */
export function presentedClient(
  { limits, metrics }: { limits: Pick<Limits, 'clientFailure' | 'turnAway'>; metrics: Pick<Metrics, 'throttled'> },
  request: FastifyRequest,
  form: ClientForm,
) {
  const network = networkOfCaller(request)
  return {
    authorization: authorizationOf(request),
    form,
    network,
    spendFailure: async () => refuseOver(await limits.clientFailure(network), metrics),
    turnAway: () => limits.turnAway(request),
  }
}

/** Finds the client of a request, and notes it for the log. @param find an `AuthenticateClient`. */
export function clientsOfRequests<Client extends { id: string }>(
  find: (operation: Operation, presented: ReturnType<typeof presentedClient>) => Promise<Client>,
  deps: Parameters<typeof presentedClient>[0] & { clock: Clock },
): (request: FastifyRequest, form: ClientForm) => Promise<Client> {
  return async (request, form) => {
    const client = await find(operationOf(request, deps.clock()), presentedClient(deps, request, form))
    request.noted = { ...request.noted, clientId: client.id }
    return client
  }
}
