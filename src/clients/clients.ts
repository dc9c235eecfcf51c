import type { Config } from '../config/config.ts'
import { listed, localhostPages, type Origins, union } from '../config/origins.ts'
import type { Delivery } from '../db/schema.ts'

/** An application that may ask for tokens (RFC 6749 §2). Both clients are public and first-party. */
export interface Client {
  id: string
  /** How its refresh tokens travel. A family keeps this for its whole life. */
  delivery: Delivery
  /** Origins of the pages and web views that may act for it. Those of `web` include the issuer's own. */
  origins: Origins
  scopes: readonly string[]
  /** The first is the default; the others may be asked for. */
  audiences: readonly string[]
}

/** Required by our own bearer endpoints, so that a service that gets a narrowed token cannot use it here. */
export const ACCOUNT_SCOPE = 'account'

export type Clients = ReadonlyMap<string, Client>

export function builtInClients(
  config: Pick<Config, 'ISSUER' | 'ALLOWED_ORIGINS' | 'localhostPages' | 'NATIVE_ORIGINS' | 'AUDIENCE' | 'SCOPES'>,
): Clients {
  const shared = { scopes: [...new Set([ACCOUNT_SCOPE, ...config.SCOPES])], audiences: config.AUDIENCE }
  const pages = listed([new URL(config.ISSUER).origin, ...config.ALLOWED_ORIGINS])
  const web: Client = {
    id: 'web',
    delivery: 'cookie',
    // Web views on http://localhost belong to native applications.
    origins: config.localhostPages ? union([pages, localhostPages(config.NATIVE_ORIGINS)]) : pages,
    ...shared,
  }
  // Pages must not get refresh tokens in the body: only the web views listed may act for this client, not even the
  // issuer's own origin.
  const native: Client = { id: 'native', delivery: 'body', origins: listed(config.NATIVE_ORIGINS), ...shared }
  return new Map([web, native].map((client) => [client.id, client]))
}

/** The pages that may act for any of these clients. */
export function pagesOf(clients: Iterable<Client>): Origins {
  return union([...clients].map(({ origins }) => origins))
}

/** The first client that a page may act for, used for requests that name none. */
export function clientOfPage(clients: Clients, origin: string | undefined): Client | undefined {
  return origin === undefined ? undefined : [...clients.values()].find((client) => client.origins.has(origin))
}
