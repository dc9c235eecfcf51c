import { type Bytes, fromBase64Url, fromUtf8, join, split, toBase64Url, toUtf8 } from './bytes.ts'
import { ClavigerError } from './errors.ts'
import type { Reply } from './issuer.ts'
import type { Session, User } from './types.ts'

/** The contents of a session's cookie. Times are in milliseconds, by the clock of this site. */
export interface Held {
  refreshToken: string
  accessToken: string
  user: User
  /** The lifetime of the access token. */
  life: number
  /** When the access token expires. */
  until: number
  /** When the session ends unless it is used. */
  ends: number
  /** Whether the cookie outlives the browser. */
  remember: boolean
  /** Set while one request is rendered, if the issuer could not be asked. Never sent to a browser. */
  unreachable?: boolean
}

/** @throws ClavigerError for an answer to another kind of client. */
export function hold(reply: Partial<Reply>, sentAt: number, remember: boolean): Held {
  const { access_token, refresh_token, expires_in, refresh_expires_in, user } = reply
  if (!access_token || !expires_in || !refresh_expires_in || !user)
    throw new ClavigerError('unexpected', 200, 'Not an answer of Claviger')
  if (!refresh_token)
    throw new ClavigerError('unexpected', 200, 'No refresh token in the answer: clientId must be a native client')
  const life = expires_in * 1000
  const ends = sentAt + refresh_expires_in * 1000
  return { refreshToken: refresh_token, accessToken: access_token, user, life, until: sentAt + life, ends, remember }
}

/** Whether the token is good for the requests of a render that starts now, to services whose clocks differ a little. */
export const isUsable = ({ until, life }: Held, now: number): boolean => until - now > Math.min(10_000, life / 10)

/**
 * Whether to refresh: only near the expiry, when all requests sent with the previous refresh token have long been
 * answered, so that none of them arrives after this one was used.
 */
export const isDue = ({ until, life }: Held, now: number): boolean => until - now < life / 5

export const SIGNED_OUT: Session = { state: 'signed-out', user: null, accessToken: null }

export function sessionOf(held: Held, now: number): Session {
  const { user, accessToken, unreachable } = held
  if (now >= held.ends) return SIGNED_OUT
  if (isUsable(held, now) && !unreachable) return { state: 'signed-in', user, accessToken }
  return { state: 'unreachable', user, accessToken: now < held.until ? accessToken : null }
}

/** Packs the parts of the JWT as bytes, which saves a quarter, so that tokens of 3 KiB fit into a cookie. */
export function pack({ accessToken, ...rest }: Held): Bytes {
  const parts = accessToken.split('.').map((part) => fromBase64Url(part) ?? new Uint8Array())
  if (parts.map(toBase64Url).join('.') !== accessToken)
    throw new ClavigerError('unexpected', 200, 'The access token in the answer is not one of Claviger')
  return join([toUtf8(JSON.stringify(rest)), ...parts])
}

/** @param plain made by `pack`: it was sealed, so nobody else can have made it. */
export function unpack(plain: Bytes): Held {
  const [rest = new Uint8Array(), ...parts] = split(plain)
  const accessToken = parts.map(toBase64Url).join('.')
  return { ...(JSON.parse(fromUtf8(rest)) as Omit<Held, 'accessToken'>), accessToken }
}
