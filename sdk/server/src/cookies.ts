/** A cookie to be set, in the form that Next.js and others take. */
export interface Cookie {
  readonly name: string
  readonly value: string
  readonly path: '/'
  readonly httpOnly: true
  readonly secure: boolean
  readonly sameSite: 'lax'
  /** Seconds; absent: until the browser is closed. 0: deleted. */
  readonly maxAge?: number
}

export interface Pair {
  readonly name: string
  readonly value: string
}

/** Browsers drop a larger one, and some count all of it. */
export const MOST_BYTES = 4096

/** The value of `Set-Cookie`. */
export function serialize({ name, value, secure, maxAge }: Cookie): string {
  const age = maxAge === undefined ? '' : `; Max-Age=${maxAge}`
  return `${name}=${value}; Path=/${age}; HttpOnly${secure ? '; Secure' : ''}; SameSite=Lax`
}

/**
 * Strict, as no lenient reader may find a cookie that the browser did not hold to the rules of `__Host-`: names are compared
 * byte by byte, after spaces and tabs around them alone.
 */
export function parseCookies(header: string | null): Pair[] {
  if (!header) return []
  return header.split(';').flatMap((pair) => {
    const mark = pair.indexOf('=')
    return mark === -1 ? [] : [{ name: strip(pair.slice(0, mark)), value: strip(pair.slice(mark + 1)) }]
  })
}

/** In linear time: a search for blanks at the end begins anew at each of them, and strangers may send nothing else. */
const strip = (text: string): string => /[^ \t](?:.*[^ \t])?/s.exec(text)?.[0] ?? ''

/** The `Cookie` header with another value under a name, or with none. */
export function replaceCookie(header: string | null, name: string, value: string | undefined): string {
  const others = (header ?? '').split(';').filter((pair) => strip(pair.split('=')[0] ?? '') !== name)
  return [...others.map(strip).filter(Boolean), ...(value === undefined ? [] : [`${name}=${value}`])].join('; ')
}
