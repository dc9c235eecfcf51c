/** A cookie to set, in the form that Next.js and other frameworks take. */
export interface Cookie {
  readonly name: string
  readonly value: string
  readonly path: '/'
  readonly httpOnly: true
  readonly secure: boolean
  readonly sameSite: 'lax'
  /** Seconds. Without it, the cookie lasts until the browser is closed; 0 deletes it. */
  readonly maxAge?: number
}

export interface Pair {
  readonly name: string
  readonly value: string
}

/** Browsers drop larger cookies, and some count name and attributes too. */
export const MOST_BYTES = 4096

/** The value of `Set-Cookie`. */
export function serialize({ name, value, secure, maxAge }: Cookie): string {
  const age = maxAge === undefined ? '' : `; Max-Age=${maxAge}`
  return `${name}=${value}; Path=/${age}; HttpOnly${secure ? '; Secure' : ''}; SameSite=Lax`
}

/**
 * Parses strictly: names are compared byte by byte after stripping only spaces and tabs. A lenient parser would accept
 * cookies to which the browser has not applied the rules of `__Host-`, so an attacker on a neighbouring subdomain could
 * plant one.
 */
export function parseCookies(header: string | null): Pair[] {
  if (!header) return []
  return header.split(';').flatMap((pair) => {
    const mark = pair.indexOf('=')
    return mark === -1 ? [] : [{ name: strip(pair.slice(0, mark)), value: strip(pair.slice(mark + 1)) }]
  })
}

/**
 * Runs in linear time: the usual pattern for trailing blanks starts again at each of them, and strangers may send only
 * blanks.
 */
const strip = (text: string): string => /[^ \t](?:.*[^ \t])?/s.exec(text)?.[0] ?? ''

/** The `Cookie` header with the value of one cookie replaced, or the cookie removed. */
export function replaceCookie(header: string | null, name: string, value: string | undefined): string {
  const others = (header ?? '').split(';').filter((pair) => strip(pair.split('=')[0] ?? '') !== name)
  return [...others.map(strip).filter(Boolean), ...(value === undefined ? [] : [`${name}=${value}`])].join('; ')
}
