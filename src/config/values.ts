import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import { contrast, ENOUGH, SURFACES } from './colors.ts'

/** A URL without anything that could differ between two spellings of the same issuer (RFC 8414 §2). */
export function issuer(value: string): string {
  const url = parseUrl(value)
  const faults: string[] = []
  if (url.protocol !== 'https:' && url.protocol !== 'http:') faults.push('must be an https URL')
  if (url.username || url.password) faults.push('must not hold a user name or password')
  if (value.includes('?') || value.includes('#')) faults.push('must not have a query or fragment')
  if (value.endsWith('/')) faults.push('must not end with a slash')
  // The cookie belongs to the whole host: whatever else it serves under other paths would receive it.
  if (url.pathname !== '/') faults.push('must not have a path: the server needs a host name of its own')
  // With any of these faults, only the part before the path can be judged.
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

/** The URL parser accepts `https://auth.example.com}`, which a template with a brace too many produces. */
function hasPlainHost({ host }: URL): boolean {
  return /^[\w.-]+(:\d+)?$|^\[[\da-f:]+\](:\d+)?$/i.test(host)
}

/**
 * What a web view or an extension sends in `Origin`. It often has a scheme of its own, for which URL.origin is only
 * "null".
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

/** As clients send it in `Host`: the name, and the port unless it is the default. */
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

/** Where mail is handed over. Everything but its server and the sign-in there is decided here, so nothing else is read. */
export function smtpUrl(value: string): string {
  const url = parseUrl(value)
  const faults: string[] = []
  if (url.protocol !== 'smtp:' && url.protocol !== 'smtps:') faults.push('must begin with smtp:// or smtps://')
  if (!hasPlainHost(url)) faults.push(ODD_HOST)
  if (!/^\/?$/.test(url.pathname) || value.includes('?') || value.includes('#'))
    faults.push('must end after the host and its port: no path, query or fragment')
  if ((url.username === '') !== (url.password === '')) faults.push('must have a user name and a password, or neither')
  if (!isPercentEncoded(url.username) || !isPercentEncoded(url.password))
    faults.push('must have its user name and password percent-encoded')
  if (faults.length > 0) throw new Error(faults.join('; '))
  return value
}

function isPercentEncoded(value: string): boolean {
  try {
    decodeURIComponent(value)
    return true
  } catch {
    return false
  }
}

/** `Name <mailbox>` or a mailbox alone (RFC 5322 §3.4), without what could begin another header or another address. */
export function mailbox(value: string): string {
  const [, name, address = ''] = /^(?:([^<>"\p{Cc}\p{Zl}\p{Zp}]{1,100}?) *<([^<>]+)>|[^<>]+)$/u.exec(value) ?? []
  const mailbox = name === undefined ? value : address
  if (!/^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(mailbox))
    throw new Error('must be a mailbox such as no-reply@example.com, or a name and <no-reply@example.com>')
  return value
}

/** What is in it is judged by whoever reads it. */
export function folder(value: string): string {
  if (!isAbsolute(value)) throw new Error('must be an absolute path: where a process starts is not always the same')
  return value
}

/** A link with `{page}` and, in the fragment, which no server and no log sees, `{token}`. */
export function appUrl(value: string): string {
  const once = (part: string) => value.split(part).length === 2
  if (!once('{page}') || !once('{token}')) throw new Error('must hold {page} and {token}, each once')
  if (value.indexOf('{token}') < value.indexOf('#') || !value.includes('#'))
    throw new Error('must hold {token} behind the #: servers and logs never see a fragment')
  const url = parseUrl(value.replace('{page}', 'page').replace('{token}', 'token'))
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new Error('must begin with https://')
  if (url.username || url.password) throw new Error('must not hold a user name or password')
  if (!hasPlainHost(url)) throw new Error(ODD_HOST)
  if (value.indexOf('{page}') < url.origin.length) throw new Error('must hold {page} behind the host')
  return value
}

/** The operator's name for the service, as people read it. */
export function brandName(value: string): string {
  if (value.trim() !== value || /\p{C}/u.test(value) || [...value].length > 60)
    throw new Error('must be 1 to 60 characters, without control characters or blanks around them')
  return value
}

/** A colour for text and buttons on a surface of that theme. */
export function brandColor(theme: keyof typeof SURFACES): (value: string) => string {
  return (value) => {
    if (!/^#[\da-f]{6}$/i.test(value)) throw new Error('must be a colour such as #2f4bb8')
    const found = contrast(value, SURFACES[theme])
    if (found < ENOUGH)
      throw new Error(
        `has a contrast of ${found.toFixed(1)} with the ${theme} background, which is too little to read: it takes ${ENOUGH} (WCAG 2.2, 1.4.3)`,
      )
    return value.toLowerCase()
  }
}

function parseUrl(value: string): URL {
  if (!URL.canParse(value)) throw new Error('must be a URL')
  return new URL(value)
}
