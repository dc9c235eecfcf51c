import type { Config } from '../config/config.ts'
import { listed, localhostPages, type Origins, union } from '../config/origins.ts'
import type { Delivery } from '../db/schema.ts'

/** Who may ask for tokens, and how it gets them (RFC 6749 §2). Both are public first-party clients. */
export interface Client {
  id: string
  /** Where its refresh tokens travel. A family never changes it. */
  delivery: Delivery
  /** Origins of pages and web views that may act for it. The issuer's own is among those of `web`. */
  origins: Origins
  scopes: readonly string[]
  /** The first is the default, the rest may be asked for. */
  audiences: readonly string[]
}

/** Needed at our own bearer endpoints, so that a token narrowed for some other service is of no use here. */
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
    // A web view on http://localhost belongs to a native application.
    origins: config.localhostPages ? union([pages, localhostPages(config.NATIVE_ORIGINS)]) : pages,
    ...shared,
  }
  // A browser has no business with tokens in bodies: but for web views that are named, no origin may act for it, the
  // issuer's own included.
  const native: Client = { id: 'native', delivery: 'body', origins: listed(config.NATIVE_ORIGINS), ...shared }
  return new Map([web, native].map((client) => [client.id, client]))
}

/** Every page that may act for one of these. */
export function pagesOf(clients: Iterable<Client>): Origins {
  return union([...clients].map(({ origins }) => origins))
}

/** The first for which a page may act: of requests that name none. */
export function clientOfPage(clients: Clients, origin: string | undefined): Client | undefined {
  return origin === undefined ? undefined : [...clients.values()].find((client) => client.origins.has(origin))
}
