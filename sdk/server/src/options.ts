import type { ClavigerError } from './errors.ts'
import { readSecrets } from './secrets.ts'
import type { Visit } from './types.ts'

export interface Options {
  /** URL of the Claviger server. https, or http on this machine. */
  issuer: string | undefined
  /** Origin of this site as browsers see it: `https://shop.example.com`. https, or http on this machine. */
  site: string | undefined
  /**
   * 32 random bytes or more in base64, the same on every machine of the site. A list, or a text with commas, newest
   * first: the first seals, all of them open.
   */
  secret: string | readonly string[] | undefined
  /** A client that gets refresh tokens in the body. Default `native`. */
  clientId?: string | undefined
  /** The services that the access token is for, out of the client's audiences. Default: the server's. */
  audience?: string | readonly string[] | undefined
  /** Scopes separated by spaces, to be granted less than all of the client's. */
  scope?: string | undefined
  /** The beginning of the names of the cookies. Default `claviger`. */
  cookie?: string | undefined
  /** Where `handle` is mounted. Default `/auth`. */
  path?: string | undefined
  /**
   * Returns the visitor's address, as the site's own proxy states it. Without it, the issuer sees the site's address in
   * all requests, and all visitors share its limits per address.
   */
  clientAddress?: ((visit: Visit) => string | null | undefined) | undefined
  /**
   * A service client that is registered with `--states-visitor-address`: the issuer then believes `clientAddress`,
   * from wherever the site calls it. Without it, the site must be one of the issuer's trusted proxies.
   */
  client?: { id: string | undefined; secret: string | undefined } | undefined
  /** Used for every request; the platform's own if absent. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
  /** Called when a session could not be refreshed, for a log line. The visitor stays signed in. */
  onError?: ((error: ClavigerError) => unknown) | undefined
}

export interface Settings extends Options {
  issuer: string
  site: string
  secrets: Promise<CryptoKey>[]
  clientId: string
  path: string
  cookie: string
  /** Whether the cookies are `Secure`, with names that begin with `__Host-`. */
  secure: boolean
  client: { id: string; secret: string } | undefined
}

/**
 * Checks the options that are given at once, and missing ones at the first use: frameworks load the site's modules when
 * they build it, where there may be no secret.
 * @throws TypeError, also from the function that is returned.
 */
export function prepare(options: Options): () => Settings {
  let settings: Settings | undefined
  const get = () => (settings ??= readOptions(options))
  const { client } = options
  if (options.issuer && options.site && options.secret && (!client || (client.id && client.secret))) get()
  return get
}

function readOptions(options: Options): Settings {
  const { clientId = 'native', cookie = 'claviger', path = '/auth', secret } = options
  const issuer = readUrl('issuer', options.issuer).href.replace(/\/+$/, '')
  const site = readUrl('site', options.site)
  if (site.pathname !== '/' || site.search || site.hash)
    throw new TypeError('site must be an origin, such as https://shop.example.com')
  if (!secret) throw new TypeError('secret is missing: openssl rand -base64 32 makes one')
  if (!/^[\w-]{1,64}$/.test(cookie)) throw new TypeError('cookie must be a short name of letters, digits, - and _')
  if (!/^(\/[\w.~-]+)+$/.test(path)) throw new TypeError('path must be a path such as /auth')
  return {
    ...options,
    issuer,
    site: site.origin,
    secrets: readSecrets(secret),
    clientId,
    cookie,
    path,
    client: readClient(options),
    secure: site.protocol === 'https:',
  }
}

function readClient({ client, clientAddress }: Options): Settings['client'] {
  if (!client) return undefined
  const { id, secret } = client
  if (!id || !secret) throw new TypeError('client has no id or no secret: claviger clients add shows both')
  if (!clientAddress) throw new TypeError('client is of no use without clientAddress')
  return { id, secret }
}

/** Addresses that nobody on the network can eavesdrop on: https, or on this machine. */
const PRIVATE = /^https:|^http:\/\/(([^/]+\.)?localhost|127\.[\d.]+|\[::1\])(:|\/|$)/

function readUrl(name: string, value: string | undefined): URL {
  if (!value) throw new TypeError(`${name} is missing: it is a URL, such as https://example.com`)
  if (!URL.canParse(value))
    throw new TypeError(`${name} must be a whole URL, such as https://example.com, not ${JSON.stringify(value)}`)
  const url = new URL(value)
  if (!PRIVATE.test(url.href))
    throw new TypeError(`${name} must be https, or http on this machine, not ${JSON.stringify(value)}`)
  return url
}
