import { createHash } from 'node:crypto'
import type { ServiceClient } from '../clients/service.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import type { AuthenticateClient, PresentedClient } from './authenticate-client.ts'

/** How long a proof counts. Until then a client that has been disabled, or has lost its secret, is still believed. */
const FRESH_MS = 1000
const MOST = 1000

export type VisitorProof = (operation: Operation, presented: PresentedClient) => Promise<string>

/**
 * Proves which service client states its visitor's address. A site calls for every visitor, and each refresh would cost one
 * more look-up: the proof of a second ago serves for all requests with the same credentials from the same network. For
 * this purpose alone: whatever is granted to a service is read anew.
 * @returns a function that gives the client's id. @throws what `authenticate` throws; Problem `invalid_request` if the
 * client may state no addresses.
 */
export function createVisitorProof(authenticate: AuthenticateClient): VisitorProof {
  const proved = new Map<string, { since: number; client: ServiceClient }>()
  // Apart, or guesses, of which a stranger sends any number, would push out what was proved.
  const underWay = new Map<string, { since: number; client: Promise<ServiceClient> }>()

  const clientOf = async (operation: Operation, presented: PresentedClient): Promise<ServiceClient> => {
    const since = operation.now.getTime()
    // Hashed, so that no memory dump of the maps has the secrets. With the network, because failures are counted by it.
    const key = createHash('sha256').update(`${presented.network} ${presented.authorization}`).digest('base64')
    const known = [proved.get(key), underWay.get(key)].find((proof) => proof && since - proof.since < FRESH_MS)
    if (known) return await known.client
    const proof = { since, client: authenticate(operation, presented) }
    underWay.set(key, proof)
    try {
      const client = await proof.client
      // Deleted first, so that the map stays ordered by age.
      proved.delete(key)
      proved.set(key, { since, client })
      if (proved.size > MOST) proved.delete(proved.keys().next().value ?? '')
      return client
    } finally {
      if (underWay.get(key) === proof) underWay.delete(key)
    }
  }

  return async (operation, presented) => {
    const client = await clientOf(operation, presented)
    if (client.statesVisitorAddress) return client.id
    throw new Problem('invalid_request', {
      detail: 'This client is not registered to state addresses (--states-visitor-address).',
    })
  }
}
