import type { Config } from '../config/config.ts'
import { listed, localhostPages, type Origins, union } from '../config/origins.ts'
import type { Delivery } from '../db/schema.ts'

/** An application that people sign in with (RFC 6749 §2). All are public and first-party. For services see service.ts. */
export interface Client {
  id: string
  type: 'browser' | 'native'
  /** How its refresh tokens travel. A family keeps this for its whole life. */
  delivery: Delivery
  /** Origins of the pages and web views that may act for it. Those of `web` include the issuer's own. */
  origins: Origins
  scopes: readonly string[]
  /** The first is the default; the others may be asked for. */
  audiences: readonly string[]
  lifetimes: Lifetimes
  /** Whether each of its sessions is bound to a key (RFC 9449), and none begins without the proof of one. */
  dpopRequired: boolean
}

/** In seconds. */
export interface Lifetimes {
  sessionIdle: number
  sessionMax: number
  rememberIdle: number
  rememberMax: number
  accessToken: number
}

/** Required by our own bearer endpoints, so that a service that gets a narrowed token cannot use it here. */
export const ACCOUNT_SCOPE = 'account'

/**
 * The clients as they are at the moment of the question: operators add and disable some while the server runs, so nobody may
 * keep a copy.
 */
export interface Clients {
  /** Undefined for one that is disabled, as for one that never was. */
  get(id: string): Client | undefined
  /**
   * The same, but asks the database about one that is unknown here: another replica may have learned of it first. For requests that
   * have proved something, so that strangers cause no questions.
   */
  find(id: string): Promise<Client | undefined>
  /** Built-in ones first. The array is another one whenever anything has changed. */
  values(): readonly Client[]
  /** The pages that may act for any of them. */
  readonly pages: Origins
}

export type ClientSettings = Pick<
  Config,
  | 'ISSUER'
  | 'ALLOWED_ORIGINS'
  | 'localhostPages'
  | 'NATIVE_ORIGINS'
  | 'AUDIENCE'
  | 'SCOPES'
  | 'SESSION_IDLE_SECONDS'
  | 'SESSION_MAX_SECONDS'
  | 'REMEMBER_IDLE_SECONDS'
  | 'REMEMBER_MAX_SECONDS'
  | 'ACCESS_TOKEN_SECONDS'
>

/** @param webViews those of registered native clients, which in development are no pages of `web`. */
export function builtInClients(config: ClientSettings, webViews: readonly string[] = []): Client[] {
  const shared = {
    scopes: withAccount(config.SCOPES),
    audiences: config.AUDIENCE,
    lifetimes: lifetimesOf(config),
    // Whoever sends a proof is bound all the same.
    dpopRequired: false,
  }
  const pages = listed(explicitPages(config))
  const web: Client = {
    id: 'web',
    type: 'browser',
    delivery: 'cookie',
    // Web views on http://localhost belong to native applications.
    origins: config.localhostPages ? union([pages, localhostPages([...config.NATIVE_ORIGINS, ...webViews])]) : pages,
    ...shared,
  }
  // Pages must not get refresh tokens in the body: only the web views listed may act for this client, not even the
  // issuer's own origin.
  const native: Client = {
    id: 'native',
    type: 'native',
    delivery: 'body',
    origins: listed(config.NATIVE_ORIGINS),
    ...shared,
  }
  return [web, native]
}

/** The pages of `web` that are named, which in development are not all. */
export function explicitPages(config: Pick<Config, 'ISSUER' | 'ALLOWED_ORIGINS'>): string[] {
  return [new URL(config.ISSUER).origin, ...config.ALLOWED_ORIGINS]
}

/** People can always reach their own account, whichever client they use. */
export function withAccount(scopes: readonly string[]): string[] {
  return [...new Set([ACCOUNT_SCOPE, ...scopes])]
}

/** Where a client does not say otherwise. */
export function lifetimesOf(config: ClientSettings): Lifetimes {
  return {
    sessionIdle: config.SESSION_IDLE_SECONDS,
    sessionMax: config.SESSION_MAX_SECONDS,
    rememberIdle: config.REMEMBER_IDLE_SECONDS,
    rememberMax: config.REMEMBER_MAX_SECONDS,
    accessToken: config.ACCESS_TOKEN_SECONDS,
  }
}

/**
 * The clients that are built in, and `hold`, the only way to change which others there are: it takes them and the web views of the
 * native ones among them.
 * @param lookUp finds a registered one in the database.
 */
export function createClients(
  config: ClientSettings,
  lookUp: (id: string) => Promise<Client | undefined> = async () => undefined,
): {
  clients: Clients
  hold(registered: readonly Client[], webViews?: readonly string[]): void
} {
  let held: readonly Client[] = []
  let byId: ReadonlyMap<string, Client> = new Map()
  const hold = (registered: readonly Client[], webViews: readonly string[] = []): void => {
    held = [...builtInClients(config, webViews), ...registered]
    byId = new Map(held.map((client) => [client.id, client]))
  }
  hold([])
  const clients: Clients = {
    get: (id) => byId.get(id),
    find: async (id) => byId.get(id) ?? (await lookUp(id)),
    values: () => held,
    pages: { has: (origin) => held.some(({ origins }) => origins.has(origin)) },
  }
  return { clients, hold }
}

/** Computes something of all clients once whenever they have changed: a hundred of them are too many to read at each request. */
export function onceForEach<T>(compute: (clients: readonly Client[]) => T): (clients: readonly Client[]) => T {
  let of: readonly Client[] | undefined
  let result: T
  return (clients) => {
    if (clients !== of) result = compute(clients)
    of = clients
    return result
  }
}

/** The pages that may act for any of these clients. */
export function pagesOf(clients: readonly Client[]): Origins {
  return union(clients.map(({ origins }) => origins))
}

/** The first client that a page may act for, used for requests that name none. */
export function clientOfPage(clients: Clients, origin: string | undefined): Client | undefined {
  return origin === undefined ? undefined : clients.values().find((client) => client.origins.has(origin))
}
