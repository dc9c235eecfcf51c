import type { Post } from './issuer.ts'

/** Who is signed in, as token replies show it. */
export interface User {
  readonly id: string
  readonly email: string
  readonly email_verified: boolean
  readonly roles: readonly string[]
}

/** `unreachable`: the issuer has not answered since the page was loaded, so nobody knows yet whether there is a session. */
export type AuthState = 'loading' | 'signed-in' | 'signed-out' | 'unreachable'

/**
 * Why the state is as it is: somebody signed in or out, here or in another tab, or came back to `…#signed-in`; the session
 * expired or was ended; the issuer did not answer; or its first answer `found` a session or none. Later changes of the same user, such as of
 * roles, are `found` too.
 */
export type Cause = 'login' | 'logout' | 'other-tab' | 'expired' | 'ended' | 'unreachable' | 'found'

export type Listener = (state: AuthState, user: User | null, cause: Cause) => void

export interface Credentials {
  email: string
  password: string
}

export interface Login extends Credentials {
  /** Stay signed in after the browser is closed. Native clients always do. */
  remember?: boolean | undefined
}

export interface Registration extends Login {
  /** Sign in at once, unless the address has to be proved first. */
  signIn?: boolean | undefined
}

/** Stores one short text, the refresh token, so it should be encrypted. Sync or async. */
export interface Storage {
  get(name: string): string | null | undefined | Promise<string | null | undefined>
  /** Must not return, or resolve, before the value would survive a restart. */
  set(name: string, value: string): unknown
  remove(name: string): unknown
}

export interface Options {
  /** URL of the Claviger server, exactly as its tokens name it: its `ISSUER`. */
  issuer: string
  /** Default `web`; with `storage`, `native`. */
  clientId?: string | undefined
  /** The services that the access token is for, out of the client's audiences. Default: the server's. */
  audience?: string | string[] | undefined
  /** Scopes separated by spaces, to be granted less than all of the client's. */
  scope?: string | undefined
  /**
   * URLs to whose origins `fetch` sends the access token, besides the issuer and the page's own. https, or on this
   * machine.
   */
  resources?: readonly string[] | undefined
  /** Where to keep the refresh token outside of browsers. It is then sent in bodies instead of a cookie. */
  storage?: Storage | undefined
  /** Used for every request; the platform's own if absent. */
  fetch?: typeof fetch | undefined
}

export interface Client {
  /** Origin of the server. */
  readonly issuer: string
  /**
   * The user of the session that existed when the page was loaded, or `null`.
   * @throws ClavigerError if the issuer could not be asked. A visible tab goes on trying, and `onChange` will tell.
   * `cookie_blocked` if the browser would not keep the issuer's cookie, or has not.
   */
  readonly ready: Promise<User | null>
  /** Begins as `loading`, and stays so on a server that renders pages. */
  readonly state: AuthState
  /** The cause of the latest change; undefined before the first. */
  readonly cause: Cause | undefined
  /** The user as far as known. Does not become `null` because the issuer cannot be reached. */
  readonly user: User | null
  /** @throws ClavigerError `invalid_credentials`, `too_many_requests`, `network`, `cookie_blocked` … */
  login(login: Login): Promise<User>
  /**
   * Creates an account. `null` if the answer comes by mail; nobody is signed in then.
   * @throws ClavigerError `email_taken` …
   */
  register(registration: Registration): Promise<User | null>
  /**
   * Asks the issuer for a new token with the user's present rights, even if the present token is still valid.
   * @returns the user, `null` if nobody is signed in.
   * @throws ClavigerError `network`, `unavailable` …
   */
  refresh(): Promise<User | null>
  /**
   * Signs out in all tabs at once, even without a network.
   * @throws ClavigerError if the issuer could not be told. It will be, as soon as it can be reached.
   */
  logout(): Promise<void>
  /**
   * `window.fetch` that sends the access token to the issuer, the page's own origin and `resources`, and to no others.
   * @throws ClavigerError `network` if there was no answer, or why the token could not be renewed.
   */
  fetch: typeof fetch
  /** An access token that is valid now. @throws ClavigerError `invalid_grant` if nobody is signed in, `network` … */
  getAccessToken(): Promise<string>
  /** Calls the listener whenever `state` or `user` changes, in any tab. @returns a function that stops it. */
  onChange(listener: Listener): () => void
  /** Stops background work and listeners; later calls reject. Does not sign out. */
  close(): void
}

/** What other modules of this package use of a client. */
export interface Internals {
  /** Sends a body to the issuer, without an access token. */
  readonly post: Post
}
