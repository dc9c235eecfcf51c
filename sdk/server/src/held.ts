import { type Bytes, fromBase64Url, fromUtf8, join, split, toBase64Url, toUtf8 } from './bytes.ts'
import { ClavigerError } from './errors.ts'
import type { Reply } from './issuer.ts'
import type { Session, User } from './types.ts'

/** What the cookie of a session holds. Times are milliseconds, by the clock of this site. */
export interface Held {
  refreshToken: string
  accessToken: string
  user: User
  /** From issue to expiry of the access token. */
  life: number
  /** When it expires. */
  until: number
  /** When the session ends if it is not used. */
  ends: number
  /** The cookie outlives the browser. */
  remember: boolean
  /** For the render of one request: the issuer could not be asked. Never in a browser. */
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

/** Good for requests of the render that starts now, on the way to services whose clocks differ a little. */
export const isUsable = ({ until, life }: Held, now: number): boolean => until - now > Math.min(10_000, life / 10)

/**
 * Near its expiry, and not earlier: by then all requests that were sent with the refresh token before have long been answered,
 * so its successor is not used before them.
 */
export const isDue = ({ until, life }: Held, now: number): boolean => until - now < life / 5

export const SIGNED_OUT: Session = { state: 'signed-out', user: null, accessToken: null }

export function sessionOf(held: Held, now: number): Session {
  const { user, accessToken, unreachable } = held
  if (now >= held.ends) return SIGNED_OUT
  if (isUsable(held, now) && !unreachable) return { state: 'signed-in', user, accessToken }
  return { state: 'unreachable', user, accessToken: now < held.until ? accessToken : null }
}

/** The parts of the JWT as bytes, which saves a quarter: tokens of 3 KiB fit into a cookie. */
export function pack({ accessToken, ...rest }: Held): Bytes {
  const parts = accessToken.split('.').map((part) => fromBase64Url(part) ?? new Uint8Array())
  if (parts.map(toBase64Url).join('.') !== accessToken)
    throw new ClavigerError('unexpected', 200, 'The access token in the answer is not one of Claviger')
  return join([toUtf8(JSON.stringify(rest)), ...parts])
}

/** @param plain as `pack` has made it: nobody else can have sealed it. */
export function unpack(plain: Bytes): Held {
  const [rest = new Uint8Array(), ...parts] = split(plain)
  const accessToken = parts.map(toBase64Url).join('.')
  return { ...(JSON.parse(fromUtf8(rest)) as Omit<Held, 'accessToken'>), accessToken }
}
