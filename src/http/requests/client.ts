import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Metrics } from '../../metrics.ts'
import { networkOf } from '../guards/proxies.ts'
import { type Limits, refuseOver } from '../limits/limits.ts'
import { authorizationOf } from './authorization.ts'

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
export function isProved({ headers }: FastifyRequest, form: ClientForm): boolean {
  return [headers.authorization, form.client_secret, form.client_assertion].some((part) => part !== undefined)
}

/** What a request presents to authenticate its client, as `AuthenticateClient` takes it. */
export function presentedClient(
  { limits, metrics }: { limits: Pick<Limits, 'clientFailure'>; metrics: Pick<Metrics, 'throttled'> },
  request: FastifyRequest,
  form: ClientForm,
) {
  return {
    authorization: authorizationOf(request),
    form,
    network: networkOf(request.source.address),
    spendFailure: async () => refuseOver(await limits.clientFailure(request), metrics),
  }
}
