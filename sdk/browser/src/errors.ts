import { platform } from './platform.ts'

/** The issuer has refused, or has not answered. */
export class ClavigerError extends Error {
  /**
   * The code of the problem document; `network` if there was no answer, `unexpected` if it was not one of Claviger's,
   * `wrong_issuer` if no Claviger answers there, or one with another name. `cookie_blocked`, `no_storage` and `closed`
   * are found by this client, without asking.
   */
  declare readonly code: string
  /** HTTP status; 0 if there was no answer. */
  declare readonly status: number
  /** In seconds. */
  declare readonly retryAfter: number | undefined

  constructor(code: string, status: number, message: string, retryAfter?: number, cause?: unknown) {
    super(message, { cause })
    Object.assign(this, { name: 'ClavigerError', code, status, retryAfter })
  }
}

/** The issuer's error when a session is over, and this client's when there is none. */
export const signedOut = (): ClavigerError => new ClavigerError('invalid_grant', 401, 'Sign in again')

/** A browser does not tell whether there was no answer, or one that it hides from the page. */
export const noAnswer = (cause: unknown): ClavigerError =>
  new ClavigerError('network', 0, 'No answer for this origin', undefined, cause)

/** @throws ClavigerError for a TypeError, which is how `fetch` reports that there was no answer, and `import`. */
export const asNoAnswer = (error: Error): never => {
  throw error.name === 'TypeError' ? noAnswer(error) : error
}

/** @param name by which the server calls itself, if it is an issuer at all. */
export const wrongIssuer = (issuer: string, status: number, name = 'no Claviger'): ClavigerError =>
  new ClavigerError('wrong_issuer', status, `issuer: at ${issuer} is ${name}`)

/** @param found what revealed it, if it was not known before. */
export const cookieBlocked = (issuer: string, status = 0, found = ''): ClavigerError =>
  new ClavigerError(
    'cookie_blocked',
    status,
    `${found}The browser keeps no cookie of ${issuer} for ${platform.origin}: both must be on one site, by https or on localhost, in no frame of another, with cookies allowed.`,
  )

/** The only answer that ends a session. A bare 401 may come from anything between here and the issuer. */
export const isOver = (error: unknown): boolean => (error as ClavigerError | undefined)?.code === 'invalid_grant'

/** Whether it is worth asking again: there was no answer, the client was throttled, or the server is in trouble. */
export const isPassing = (error: unknown): error is ClavigerError =>
  error instanceof ClavigerError && /^(network|408|429|5..)$/.test(`${error.status || error.code}`)

/** Whether the browser does not let a session be. */
export const isBlocked = (error: unknown): boolean => /_blocked/.test((error as ClavigerError).code)
