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
 * Why it is as it is: signed in or out here, or in another tab; the session ran out or was ended; the issuer did not answer;
 * or its first answer `found` a session or none. What it says about the same user later, as of roles, is `found` too.
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

/** A place for one short text; it holds the refresh token, so give it one that is encrypted. Sync or async. */
export interface Storage {
  get(name: string): string | null | undefined | Promise<string | null | undefined>
  /** Must not return, or resolve, before a restart would find the value again. */
  set(name: string, value: string): unknown
  remove(name: string): unknown
}

export interface Options {
  /** URL of the Claviger server, by the name that its tokens give it: its `ISSUER`. */
  issuer: string
  /** `web`; with `storage`, `native`. */
  clientId?: string | undefined
  /** What the access token is for, out of the client's audiences; the server's default if absent. */
  audience?: string | string[] | undefined
  /** Space-separated; may narrow what is granted. */
  scope?: string | undefined
  /** URLs whose origins get the access token from `fetch`, besides the issuer and the page's own. `https`, or on this machine. */
  resources?: readonly string[] | undefined
  /** Outside of browsers: where the refresh token is kept. It then travels in bodies instead of a cookie. */
  storage?: Storage | undefined
  /** Used for every request; the platform's own if absent. */
  fetch?: typeof fetch | undefined
}

export interface Client {
  /** Origin of the server. */
  readonly issuer: string
  /**
   * The user of a session that was there already, `null` if there is none.
   * @throws ClavigerError if the issuer could not be asked; a visible tab goes on trying and `onChange` will tell.
   * `cookie_blocked` if the browser would not keep the issuer's cookie, or has not.
   */
  readonly ready: Promise<User | null>
  /** On a server that renders pages it stays `loading`, which is what a page begins with. */
  readonly state: AuthState
  /** Of the latest change; undefined before the first. */
  readonly cause: Cause | undefined
  /** As far as is known at this moment. It does not become `null` because the issuer is out of reach. */
  readonly user: User | null
  /** @throws ClavigerError `invalid_credentials`, `too_many_requests`, `network`, `cookie_blocked` … */
  login(login: Login): Promise<User>
  /** Makes an account. `null`: the answer comes by mail, and nobody is signed in. @throws ClavigerError `email_taken` … */
  register(registration: Registration): Promise<User | null>
  /**
   * Asks the issuer for a new token, with the rights of this moment, whatever is known here.
   * @returns the user, `null` if nobody is signed in.
   * @throws ClavigerError `network`, `unavailable` …
   */
  refresh(): Promise<User | null>
  /**
   * Signed out in all tabs at once, whatever the network does.
   * @throws ClavigerError if the issuer could not be told; it will be, as soon as it can be reached.
   */
  logout(): Promise<void>
  /**
   * `window.fetch` with the access token, for the issuer, the page's own origin and `resources`; others get none.
   * @throws ClavigerError `network` if there was no answer, and what keeps a token from being renewed.
   */
  fetch: typeof fetch
  /** One that is valid now. @throws ClavigerError `invalid_grant` if nobody is signed in, `network`, `no_storage` … */
  getAccessToken(): Promise<string>
  /** Calls the listener whenever `state` or `user` changes, in whichever tab. @returns what ends that. */
  onChange(listener: Listener): () => void
  /** Nothing goes on in the background any more, no listener is called, and whatever is asked rejects. Nobody is signed out. */
  close(): void
}
