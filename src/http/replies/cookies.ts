import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/**
 * `__Host-` makes the browser refuse the cookie from other hosts, other paths and plain http, so that a neighbouring
 * subdomain cannot plant one (draft-ietf-httpbis-rfc6265bis §4.1.3.2).
 */
const REFRESH_COOKIE = '__Host-refresh_token'
const ATTRIBUTES = { path: '/', secure: true, httpOnly: true, sameSite: 'strict' } as const

/**
 * Lets routes write cookies. Only the plugin's serialiser is used: its parser takes the first of two cookies of one name.
 * Order: any; before the routes are registered.
 */
export function writeCookies(app: FastifyInstance): void {
  app.register(cookie, { hook: false })
}

/**
 * Every value that came under the refresh cookie's name; more than one is for the caller to refuse. The parser is our own
 * and strict: names are compared byte by byte after stripping spaces and tabs only, because lenient parsers (other white
 * space, `$Version`, quotes, nameless pairs) let cookies through that the browser did not hold to the prefix's rules.
 */
export function refreshCookies(request: FastifyRequest): string[] {
  const header = request.headers.cookie
  if (header === undefined) return []
  return header.split(';').flatMap((pair) => {
    const mark = pair.indexOf('=')
    return mark !== -1 && strip(pair.slice(0, mark)) === REFRESH_COOKIE ? [strip(pair.slice(mark + 1))] : []
  })
}

/**
 * Like String.trim, which would also take U+00A0, U+0085's relatives and U+FEFF. In linear time: a search for blanks at the end
 * begins anew at each of them, and a stranger's header of nothing else would hold up everybody.
 */
function strip(text: string): string {
  return /[^ \t](?:.*[^ \t])?/s.exec(text)?.[0] ?? ''
}

/** What a sign-in and a refresh hand out. */
export interface Tokens {
  accessToken: string
  /** Seconds. */
  expiresIn: number
  scope: string
  refreshToken: string
  /** Seconds until the family ends if it is not used. */
  refreshExpiresIn: number
  remember: boolean
  delivery: 'cookie' | 'body'
  subject: { id: string; email: string; emailVerified: boolean; roles: string[] }
}

/** Puts the refresh token into its one place and returns the body of the token reply. */
export function sendTokens(reply: FastifyReply, tokens: Tokens) {
  if (tokens.delivery === 'cookie') {
    // Without `remember` the cookie ends with the browser's session.
    const lifetime = tokens.remember ? { maxAge: tokens.refreshExpiresIn } : {}
    reply.header(
      'set-cookie',
      reply.server.serializeCookie(REFRESH_COOKIE, tokens.refreshToken, { ...ATTRIBUTES, ...lifetime }),
    )
  }
  const { id, email, emailVerified, roles } = tokens.subject
  return {
    access_token: tokens.accessToken,
    token_type: 'Bearer' as const,
    expires_in: tokens.expiresIn,
    scope: tokens.scope,
    refresh_expires_in: tokens.refreshExpiresIn,
    user: { id, email, email_verified: emailVerified, roles },
    ...(tokens.delivery === 'body' ? { refresh_token: tokens.refreshToken } : {}),
  }
}

/** Only for `/logout`: a refusal that arrives late must not delete the cookie of a newer sign-in. */
export function clearRefreshCookie(reply: FastifyReply): void {
  reply.header('set-cookie', reply.server.serializeCookie(REFRESH_COOKIE, '', { ...ATTRIBUTES, maxAge: 0 }))
}
