import { Problem } from '../errors.ts'
import { type Client, type Clients, clientOfPage } from './clients.ts'
import { isClientId } from './identifiers.ts'

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

/** The same among the clients of browsers: a page that names none asks for a session in its own cookie. */
export function browserClientBehind(clients: Clients, origin: string | undefined): Client {
  const ofPage = clients
    .values()
    .find(({ type, origins }) => type === 'browser' && origin !== undefined && origins.has(origin))
  return ofPage ?? clientNamed(clients)
}

/**
 * Whose cookie a request may use: that of the client that it names, else that of the page that sends it, else that of `web`. A
 * registered client that has been disabled still has its own, which is good for nothing but to be deleted.
 */
export function cookieOwner(clients: Clients, named: string | undefined, origin: string | undefined): string {
  const client = named === undefined ? undefined : clients.get(named)
  if (named !== undefined && (client ? client.type === 'browser' : isClientId(named))) return named
  return browserClientBehind(clients, origin).id
}

/**
 * The client whose web view sends a request that names none. Undefined where several have that web view: then the token alone
 * tells.
 */
export function clientOfWebView(clients: Clients, origin: string | undefined): string | undefined {
  const [only, another] = clients
    .values()
    .filter(({ type, origins }) => type === 'native' && origin !== undefined && origins.has(origin))
  return another === undefined ? only?.id : undefined
}
