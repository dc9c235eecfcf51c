import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/**
 * With the prefix `__Host-`, browsers refuse the cookie from other hosts, other paths and plain http, so that an
 * attacker on a neighbouring subdomain cannot plant one (draft-ietf-httpbis-rfc6265bis §4.1.3.2).
 */
const REFRESH_COOKIE = '__Host-refresh_token'
/** Says which users have signed in in this browser before: their device tokens, with dots between them. */
const DEVICE_COOKIE = '__Host-device'
const ATTRIBUTES = { path: '/', secure: true, httpOnly: true, sameSite: 'strict' } as const

/**
 * Lets routes write cookies. Only the plugin's serialiser is used, because its parser silently takes the first of two
 * cookies with the same name.
 * Order: any; before the routes are registered.
 */
export function writeCookies(app: FastifyInstance): void {
  app.register(cookie, { hook: false })
}

/** Each client has a cookie of its own, so that its pages and those of another have sessions of their own in one browser. */
function refreshCookieOf(clientId: string): string {
  return clientId === 'web' ? REFRESH_COOKIE : `${REFRESH_COOKIE}.${clientId}`
}

/** Every value that was sent under the name of a client's refresh cookie. The caller refuses more than one. */
export function refreshCookies(request: FastifyRequest, clientId: string): string[] {
  return cookiesNamed(request, refreshCookieOf(clientId))
}

/** The device tokens that were sent. */
export function deviceCookies(request: FastifyRequest): string[] {
  return cookiesNamed(request, DEVICE_COOKIE).flatMap((value) => value.split('.'))
}

/**
 * Names are compared byte by byte after stripping only spaces and tabs: lenient parsers (other white space, `$Version`,
 * quotes, nameless pairs) accept cookies to which the browser has not applied the rules of the prefix, so an attacker
 * could plant one.
 */
function cookiesNamed(request: FastifyRequest, name: string): string[] {
  const header = request.headers.cookie
  if (header === undefined) return []
  return header.split(';').flatMap((pair) => {
    const mark = pair.indexOf('=')
    return mark !== -1 && strip(pair.slice(0, mark)) === name ? [strip(pair.slice(mark + 1))] : []
  })
}

/**
 * Strips spaces and tabs. String.trim would also strip U+00A0, U+FEFF and other white space. Runs in linear time: the
 * usual pattern for trailing blanks starts again at each of them, so a header full of blanks would hold up all other
 * requests.
 */
function strip(text: string): string {
  return /[^ \t](?:.*[^ \t])?/s.exec(text)?.[0] ?? ''
}

/** What a sign-in or a refresh hands out. */
export interface Tokens {
  accessToken: string
  tokenType: 'Bearer' | 'DPoP'
  /** Seconds. */
  expiresIn: number
  scope: string
  refreshToken: string
  /** Seconds until the family ends unless it is used. */
  refreshExpiresIn: number
  remember: boolean
  delivery: 'cookie' | 'body'
  clientId: string
  subject: { id: string; email: string; emailVerified: boolean; roles: string[] }
  /** The device tokens that the client is to keep, that of the user first. Only a sign-in has them. */
  devices?: { tokens: [string, ...string[]]; keepSeconds: number }
}

/** Puts the tokens of a session into cookies, which scripts cannot read. */
export function setTokenCookies(reply: FastifyReply, tokens: Tokens): void {
  const { devices } = tokens
  // Without `remember` the cookie ends with the browser's session.
  const maxAge = tokens.remember ? tokens.refreshExpiresIn : undefined
  setCookie(reply, refreshCookieOf(tokens.clientId), tokens.refreshToken, maxAge)
  if (devices) setCookie(reply, DEVICE_COOKIE, devices.tokens.join('.'), devices.keepSeconds)
}

/** Puts the tokens that are not for scripts into cookies or the body, never both. @returns the body of the token reply. */
export function sendTokens(reply: FastifyReply, tokens: Tokens) {
  const { devices } = tokens
  if (tokens.delivery === 'cookie') setTokenCookies(reply, tokens)
  const { id, email, emailVerified, roles } = tokens.subject
  return {
    access_token: tokens.accessToken,
    token_type: tokens.tokenType,
    expires_in: tokens.expiresIn,
    scope: tokens.scope,
    refresh_expires_in: tokens.refreshExpiresIn,
    user: { id, email, email_verified: emailVerified, roles },
    ...(tokens.delivery === 'body' ? { refresh_token: tokens.refreshToken } : {}),
    ...(tokens.delivery === 'body' && devices ? { device_token: devices.tokens[0] } : {}),
  }
}

/** Only for signing out. Refusals do not clear the cookie, because a late one would delete that of a newer sign-in. */
export function clearRefreshCookie(reply: FastifyReply, clientId: string): void {
  setCookie(reply, refreshCookieOf(clientId), '', 0)
}

/** Appends: a reply may set several. @param maxAge in seconds; without it, the cookie ends with the browser's session. */
function setCookie(reply: FastifyReply, name: string, value: string, maxAge: number | undefined): void {
  const attributes = maxAge === undefined ? ATTRIBUTES : { ...ATTRIBUTES, maxAge }
  reply.header('set-cookie', reply.server.serializeCookie(name, value, attributes))
}
