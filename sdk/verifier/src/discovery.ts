import { type Download, download, type Fetch, Unanswered } from './download.ts'
import { type HeldKeys, importKeys } from './key-set.ts'

/** Within these, in milliseconds, the issuer says for how long a document is fresh. */
const FRESH = { least: 30_000, default: 300_000, most: 600_000 }

export interface Loaded {
  keys: HeldKeys
  /** Milliseconds for which they are fresh, from the beginning of the load. */
  freshFor: number
}

/** @param previous keys of the load before, whose imported form can be kept. */
export type Load = (previous: HeldKeys | undefined) => Promise<Loaded>

/**
 * Finds the issuer's keys by its metadata (RFC 8414), as `iss` alone says where they are.
 * @param issuer as `iss` has it; see `checkIssuer`.
 */
export function createLoader(
  issuer: string,
  { fetch, timeoutMs, monotonic }: { fetch: Fetch; timeoutMs: number; monotonic: () => number },
): Load {
  let known: { jwksUri: string; until: number } | undefined
  /** Whether the last answer may have left a connection that the next request goes over. */
  let connected = false

  const get = async (url: string): Promise<Download> => {
    const reused = connected
    connected = false
    try {
      const found = await download(url, { fetch, timeoutMs })
      connected = true
      return found
    } catch (error) {
      // The other side may have closed it in the moment in which we took it again, the more easily while this process is busy.
      // RFC 9110 §9.2.2: a GET is then repeated. Once: the next connection is a new one.
      if (!reused || !(error instanceof Unanswered)) throw error
      return await get(url)
    }
  }

  const discover = async (): Promise<string> => {
    const startedAt = monotonic()
    const [standard, openid] = metadataUrls(issuer)
    let found = await get(standard)
    if (found.document === undefined) found = await get(openid)
    const jwksUri = readMetadata(found.document, issuer)
    known = { jwksUri, until: startedAt + freshness(found) }
    return jwksUri
  }

  return async (previous) => {
    const jwksUri = known && monotonic() < known.until ? known.jwksUri : await discover()
    try {
      const found = await get(jwksUri)
      if (found.document === undefined) throw new Error(`${jwksUri} answered 404`)
      return { keys: await importKeys(found.document, previous), freshFor: freshness(found) }
    } catch (error) {
      // It may have moved: the next attempt asks again where it is.
      known = undefined
      throw error
    }
  }
}

/** RFC 8414 §3.1 puts the well-known part before the issuer's path, OpenID Connect Discovery 1.0 §4 after it. */
function metadataUrls(issuer: string): [standard: string, openid: string] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}

/** @returns `jwks_uri`. */
function readMetadata(document: unknown, issuer: string): string {
  if (document === undefined) throw new Error(`${issuer} publishes no metadata`)
  const metadata = (typeof document === 'object' && document) || {}
  const { issuer: named, jwks_uri: jwksUri } = metadata as Record<string, unknown>
  // RFC 8414 §3.3: exactly. Else somebody who can place a file at one issuer speaks for another.
  if (named !== issuer)
    throw new Error(`the metadata of ${issuer} names another issuer: ${JSON.stringify(named)?.slice(0, 200)}`)
  if (typeof jwksUri !== 'string' || !URL.canParse(jwksUri))
    throw new Error(`the metadata of ${issuer} has no jwks_uri`)
  // Plain http only to this machine, and only for an issuer that is here itself.
  if (!isSecure(jwksUri) || (isHttps(issuer) && !isHttps(jwksUri))) {
    throw new Error(`the jwks_uri of ${issuer} is not https: ${jwksUri.slice(0, 200)}`)
  }
  return jwksUri
}

/**
 * @returns the issuer as it is, character for character: that is what `iss` is compared with.
 * @throws TypeError if keys from there could be anybody's.
 */
export function checkIssuer(issuer: unknown): string {
  if (typeof issuer !== 'string' || !URL.canParse(issuer)) throw new TypeError('issuer must be a URL')
  const url = new URL(issuer)
  // RFC 8414 §2. What is left of printable ASCII can stand in a challenge.
  if (!/^[\x21\x24-\x3e\x40-\x5b\x5d-\x7e]+$/.test(issuer) || url.username || url.password) {
    throw new TypeError('issuer must be a URL without query, fragment, user and password')
  }
  if (!isSecure(issuer))
    throw new TypeError('issuer must be https; http is for this machine only (localhost, 127.0.0.1, [::1])')
  return issuer
}

function isHttps(url: string): boolean {
  return new URL(url).protocol === 'https:'
}

function isSecure(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname))
}

function freshness({ maxAge = FRESH.default }: Download): number {
  return Math.min(FRESH.most, Math.max(FRESH.least, maxAge))
}
