import type { ServiceClient } from '../../src/clients/service.ts'
import { createClientAuthentication, type PresentedClient } from '../../src/oauth/authenticate-client.ts'
import type { TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'

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
  const authenticateClient = createClientAuthentication(t.deps, { run: (work) => work() })
  return await authenticateClient(byOperator(t.deps), {
    authorization: undefined,
    form: {},
    network: '192.0.2.1',
    spendFailure: async () => {},
    ...presented,
  })
}
