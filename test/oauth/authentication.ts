import type { LightMyRequestResponse } from 'fastify'
import type { ServiceClient } from '../../src/clients/service.ts'
import { createClientAuthentication, type PresentedClient } from '../../src/oauth/authenticate-client.ts'
import type { TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'
import { form } from './support.ts'

/** RFC 7523 §2.2. */
export const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** The header Authorization of HTTP Basic, with both parts encoded as RFC 6749 §2.3.1 has it. */
export function basic(clientId: string, secret: string): string {
  const text = [clientId, secret].map(encodeURIComponent).join(':')
  return `Basic ${Buffer.from(text).toString('base64')}`
}

/** Without HTTP around it. No failure counts against an address unless the test says so. */
export async function authenticate(
  t: Pick<TestApp, 'deps'>,
  presented: Partial<PresentedClient>,
): Promise<ServiceClient> {
  const authenticateClient = createClientAuthentication(t.deps, { run: (work) => work(), isFull: () => false })
  return await authenticateClient(byOperator(t.deps), {
    authorization: undefined,
    form: {},
    network: '192.0.2.1',
    spendFailure: async () => {},
    turnAway: async () => {},
    ...presented,
  })
}

type Fields = Record<string, string>

export const askForToken = (t: TestApp, fields: Fields | string, headers?: Fields): Promise<LightMyRequestResponse> =>
  form(t, '/oauth/token', fields, headers)

/** What a service is answered that asks for a token of its own. */
export const tokenFor = (t: TestApp, { clientId, secret }: { clientId: string; secret: string }, fields: Fields = {}) =>
  askForToken(t, { grant_type: 'client_credentials', ...fields }, { authorization: basic(clientId, secret) })

type Service = { clientId: string; secret: string }

/** As the service proves itself unless the headers say otherwise. */
export const introspect = (
  t: TestApp,
  service: Service,
  fields: Fields,
  headers: Fields = {},
): Promise<LightMyRequestResponse> =>
  form(t, '/oauth/introspect', fields, { authorization: basic(service.clientId, service.secret), ...headers })
