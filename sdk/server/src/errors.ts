/** The issuer has refused, or has not answered. */
export class ClavigerError extends Error {
  override readonly name = 'ClavigerError'
  /**
   * The code of the problem document; `network` if there was no answer, `unexpected` if it was not one of Claviger's,
   * `cookie_too_large` if its tokens do not fit into a cookie.
   */
  readonly code: string
  /** HTTP status; 0 if there was no answer. */
  readonly status: number
  /** Seconds. */
  readonly retryAfter: number | undefined

  constructor(code: string, status: number, message: string, retryAfter?: number, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** The only answer that ends a session. A bare 401 may come from anything between here and the issuer. */
export const isOver = (error: ClavigerError): boolean => error.status === 401 && error.code === 'invalid_grant'
