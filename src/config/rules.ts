import { isIP } from 'node:net'
import type { Config } from './config.ts'
import { cookieWarnings } from './cookie-warnings.ts'
import { linkWithoutLookup, OPEN_LINK } from './database-link.ts'
import type { DatabaseTarget } from './database-target.ts'
import { isLoopback } from './networks.ts'
import { type Fault, itemsOf } from './settings.ts'

/** A URL without anything that could differ between two spellings of the same issuer (RFC 8414 §2). */
export function issuer(value: string): string {
  const url = parseUrl(value)
  const faults: string[] = []
  if (url.protocol !== 'https:' && url.protocol !== 'http:') faults.push('must be an https URL')
  if (url.username || url.password) faults.push('must not hold a user name or password')
  if (value.includes('?') || value.includes('#')) faults.push('must not have a query or fragment')
  if (value.endsWith('/')) faults.push('must not end with a slash')
  // The cookie is of the whole host: what else is on it under other paths would get it.
  if (url.pathname !== '/') faults.push('must not have a path: the server needs a host name of its own')
  // Of an issuer with any of these faults, what stands before the path alone can be judged.
  const judged = faults.length > 0 ? /^[^/]*\/\/[^/?#]*/.exec(value)?.[0] : value
  if (judged !== url.origin && !url.username && !url.password)
    faults.push('must be written in its normal form (lower-case host, no default port)')
  if (!hasPlainHost(url)) faults.push(ODD_HOST)
  if (faults.length > 0) throw new Error(faults.join('; '))
  return value
}

/** Scheme, host and port, exactly as browsers send it in `Origin`. */
export function origin(value: string): string {
  if (value.includes('*')) throw new Error('must not be a wildcard: credentials are involved')
  const url = parseUrl(value)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new Error('must begin with https://')
  if (url.origin !== value)
    throw new Error('must be a plain origin such as https://app.example.com, without path or slash')
  if (!hasPlainHost(url)) throw new Error(ODD_HOST)
  return value
}

const ODD_HOST = 'must have a host of letters, digits, dots and hyphens'

/** The parser of URLs takes `https://auth.example.com}`, which a brace too many in a template makes. No name is like that. */
function hasPlainHost({ host }: URL): boolean {
  return /^[\w.-]+(:\d+)?$|^\[[\da-f:]+\](:\d+)?$/i.test(host)
}

/**
 * What a web view or an extension sends in `Origin`. Its scheme is often one of its own, and of those URL.origin says no
 * more than "null".
 */
export function nativeOrigin(value: string): string {
  if (value.includes('*')) throw new Error('must not be a wildcard: credentials are involved')
  const url = parseUrl(value)
  if (url.protocol === 'https:' || url.protocol === 'http:') return origin(value)
  if (url.host === '' || `${url.protocol}//${url.host}` !== value)
    throw new Error('must be a plain origin such as capacitor://localhost, without path or slash')
  if (!hasPlainHost(url)) throw new Error(ODD_HOST)
  return value
}

export function host(value: string): string {
  if (isIP(value) === 0 && !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(value)) {
    throw new Error('must be an IP address or a host name')
  }
  return value
}

/** As clients send it in `Host`: name, and port unless it is the default one. */
export function hostHeader(value: string): string {
  if (!/^[a-z0-9.-]+(:\d+)?$|^\[[0-9a-f:]+\](:\d+)?$/.test(value))
    throw new Error('must be a lower-case host, with :port if there is one')
  return value
}

export function audience(value: string): string {
  if (!/^[\x21-\x7e]{1,200}$/.test(value)) throw new Error('must be a URI or a name of visible ASCII characters')
  return value
}

/** An RFC 7638 thumbprint, as the key set and `keys list` show it. */
export function kid(value: string): string {
  if (!/^[A-Za-z0-9_-]{43}$/.test(value)) throw new Error('must be a kid: 43 characters of base64url')
  return value
}

/** scope-token of RFC 6749 §3.3. */
export function scope(value: string): string {
  if (!/^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/.test(value)) throw new Error('must be a scope token (RFC 6749 §3.3)')
  return value
}

/** An address or network. Hop counts and `true` are not accepted: both let a client forge its address (CVE-2026-16732). */
export function cidr(value: string): string {
  const [address = '', prefix, ...rest] = value.split('/')
  const family = isIP(address)
  const length = prefix === undefined ? undefined : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
  const longest = family === 4 ? 32 : 128
  if (family === 0 || rest.length > 0 || (length !== undefined && !(length >= 0 && length <= longest))) {
    throw new Error('must be an IP address or a network in CIDR notation')
  }
  if (length === 0) throw new Error('must not be the whole Internet')
  return value
}

/** Faults that only two settings together have. */
export function acrossSettings(config: Config): (Fault & { other: string })[] {
  const faults: (Fault & { other: string })[] = []
  const mustNotExceed = (name: keyof Config, other: keyof Config) => {
    if (config[name] > config[other]) faults.push({ name, other, message: `must not exceed ${other}` })
  }
  mustNotExceed('SESSION_IDLE_SECONDS', 'SESSION_MAX_SECONDS')
  mustNotExceed('REMEMBER_IDLE_SECONDS', 'REMEMBER_MAX_SECONDS')
  if (config.PORT !== 0 && config.PORT === config.METRICS_PORT)
    faults.push({ name: 'METRICS_PORT', other: 'PORT', message: 'must differ from PORT' })
  return faults
}

/**
 * What development forgives and production does not. Each message says why. Judged as it is stated, so that another fault of the
 * same setting hides nothing.
 */
export function insecureInProduction(
  stated: Readonly<Record<string, string | undefined>>,
  database: DatabaseTarget | undefined,
): Fault[] {
  const plain = (name: string) =>
    itemsOf(stated[name] ?? '').flatMap((item, index) => (URL.canParse(item) && isPlainHttp(item) ? [index + 1] : []))
  const faults: Fault[] = []
  const fault = (name: string, message: string) => faults.push({ name, message })
  if (plain('ISSUER').length > 0)
    fault('ISSUER', 'must be https: whoever listens to plain http holds every password and token')
  const pages = plain('ALLOWED_ORIGINS')
  if (pages.length > 0) {
    fault(
      'ALLOWED_ORIGINS',
      `item ${pages.join(', ')}: must be https: anybody on the network path could act as a page of a plain http origin`,
    )
  }
  const views = plain('NATIVE_ORIGINS')
  if (views.length > 0) {
    fault(
      'NATIVE_ORIGINS',
      `item ${views.join(', ')}: must not be plain http: anybody on the network path could act as a page of that origin`,
    )
  }
  if (database && linkWithoutLookup(database)?.kind === 'outside') fault('DATABASE_URL', OPEN_LINK)
  return faults
}

export function warnings(config: Config): string[] {
  const found: string[] = []
  if (config.ACCESS_TOKEN_SECONDS < 60) found.push('ACCESS_TOKEN_SECONDS is below 60: expect many refreshes')
  if (config.ACCESS_TOKEN_SECONDS > 900)
    found.push('ACCESS_TOKEN_SECONDS is above 900: verifiers that work offline accept an ended session that long')
  if (config.REMEMBER_MAX_SECONDS > 30 * 86400)
    found.push('REMEMBER_MAX_SECONDS is above 30 days (NIST SP 800-63B-4 §2.1.3)')
  if (new URL(config.ISSUER).port === '0')
    found.push('PORT is 0 and ISSUER is not set: tokens name an address that leads nowhere. Set ISSUER')
  return [...found, ...cookieWarnings(config)]
}

/** Over the network, where anybody on the path can listen and browsers keep no `Secure` cookie. */
export function isPlainHttp(value: string): boolean {
  const url = new URL(value)
  return url.protocol === 'http:' && !isLoopback(url.hostname)
}

function parseUrl(value: string): URL {
  if (!URL.canParse(value)) throw new Error('must be a URL')
  return new URL(value)
}
