import { ownOrigin } from './platform.ts'

/** An answer of the issuer that is no success, or the lack of one. */
export class ClavigerError extends Error {
  /**
   * Of the problem document; `network` if there was no answer, `unexpected` if it was not one of Claviger's. `cookie_blocked`,
   * `no_storage` and `closed` are said here, without asking.
   */
  readonly code: string
  /** HTTP status; 0 if there was no answer. */
  readonly status: number
  /** Seconds. */
  readonly retryAfter: number | undefined

  constructor(code: string, status: number, message: string, retryAfter?: number, cause?: unknown) {
    super(message, { cause })
    this.name = 'ClavigerError'
    this.code = code
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** What the issuer says when a session is over, and what is said here when there is none. */
export const signedOut = (): ClavigerError => new ClavigerError('invalid_grant', 401, 'Sign in again')

/** @param found how that showed, if it was not known before. */
export const cookieBlocked = (issuer: string, status = 0, found = ''): ClavigerError =>
  new ClavigerError(
    'cookie_blocked',
    status,
    `${found}The browser keeps no cookie of ${issuer} for ${ownOrigin()}: both must be on one site, by https or on localhost, in no frame of another, with cookies allowed.`,
  )

/** The only answer that ends a session. A bare 401 may come from anything between here and the issuer. */
export const isOver = (error: unknown): boolean =>
  error instanceof ClavigerError && error.status === 401 && error.code === 'invalid_grant'

/** Worth asking again: no answer, throttled, or a server in trouble. */
export const isPassing = (error: unknown): error is ClavigerError =>
  error instanceof ClavigerError &&
  (error.code === 'network' || error.status === 408 || error.status === 429 || error.status >= 500)
