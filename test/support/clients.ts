import { randomBytes } from 'node:crypto'
import { addClient } from '../../src/clients/add.ts'
import type { PublicRegistration, ServiceRegistration } from '../../src/clients/registration.ts'
import type { TestApp } from './app.ts'
import { noteSecret } from './canary.ts'
import { byOperator } from './operation.ts'

/** Registers a service that proves itself by a secret, unless told otherwise; then `secret` is empty. */
export async function addServiceClient(
  t: Pick<TestApp, 'deps'>,
  registration: Partial<Omit<ServiceRegistration, 'type'>> = {},
): Promise<{ clientId: string; secret: string }> {
  const input: ServiceRegistration = { type: 'service', name: newName(), ...registration }
  const { clientId, secret = '' } = await addClient(t.deps, byOperator(t.deps), input)
  if (secret) noteSecret(secret)
  return { clientId, secret }
}

/**
 * Registers a client that people sign in with, a browser's unless told otherwise. This app sees it at once; others by
 * `clients.reload()`, or by themselves within seconds.
 */
export async function addPublicClient(
  t: Pick<TestApp, 'deps' | 'clients'>,
  registration: Partial<PublicRegistration> = {},
): Promise<{ clientId: string }> {
  const { clientId } = await addClient(t.deps, byOperator(t.deps), {
    type: 'browser',
    name: newName(),
    ...registration,
  })
  await t.clients.reload()
  return { clientId }
}

/** Not taken by another client. */
function newName(): string {
  return `client ${randomBytes(6).toString('hex')}`
}
