import { Problem } from '../errors.ts'
import { type Client, type Clients, clientOfPage } from './clients.ts'

const DEFAULT_CLIENT = 'web'

/** @throws Problem invalid_client. */
export function clientNamed(clients: Clients, id = DEFAULT_CLIENT): Client {
  const client = clients.get(id)
  if (!client) throw new Problem('invalid_client')
  return client
}

/** For requests that name no client: the one whose page sends it, else the one for browsers. */
export function clientBehind(clients: Clients, origin: string | undefined): Client {
  return clientOfPage(clients, origin) ?? clientNamed(clients)
}
