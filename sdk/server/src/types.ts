/** Who is signed in, as token replies show it. */
export interface User {
  readonly id: string
  readonly email: string
  readonly email_verified: boolean
  readonly roles: readonly string[]
}

/**
 * The session of a visitor.
 * - `signed-in`: there is an access token that is valid now.
 * - `unreachable`: signed in as far as known, but the issuer could not be asked for a new access token. The old one is
 * there
 *   for as long as it is valid.
 * - `signed-out`: nobody is signed in.
 */
export type Session =
  | { readonly state: 'signed-in'; readonly user: User; readonly accessToken: string }
  | { readonly state: 'unreachable'; readonly user: User; readonly accessToken: string | null }
  | { readonly state: 'signed-out'; readonly user: null; readonly accessToken: null }

export interface Credentials {
  email: string
  password: string
}

export interface SignIn extends Credentials {
  /** Stay signed in after the browser is closed. */
  remember?: boolean | undefined
}

/** What is read of a visitor's request. A `Request` is one. */
export interface Visit {
  readonly headers: Headers
}
