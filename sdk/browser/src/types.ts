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
 * roles, are `found` too. `key-lost`: there is a session, and the key that it is bound to is not here.
 */
export type Cause = 'login' | 'logout' | 'other-tab' | 'expired' | 'ended' | 'unreachable' | 'found' | 'key-lost'

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

/** The public half of a key (RFC 7517). Further members are left out of proofs. */
export interface PublicJwk {
  readonly kty?: string | undefined
  readonly crv?: string | undefined
  readonly x?: string | undefined
  readonly y?: string | undefined
  readonly n?: string | undefined
  readonly e?: string | undefined
}

/** A key that is not kept in IndexedDB: in a Secure Enclave or an Android Keystore, for instance. */
export interface DpopKey {
  /** Default `ES256`. */
  alg?: 'ES256' | 'ES384' | 'ES512' | 'Ed25519' | 'PS256' | 'RS256' | undefined
  publicJwk(): PublicJwk | Promise<PublicJwk>
  /** The signature as JWS has it (RFC 7518 §3.3–3.5): for ECDSA r and s of fixed length, one after the other, and no ASN.1. */
  sign(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** SHA-256. Needed where there is no WebCrypto, as in React Native. */
  sha256?: ((bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>) | undefined
}

export interface Binding {
  /** Thumbprint of the key (RFC 7638). */
  readonly jkt: string
  /** Whether the access token is bound to it. False while there is none, and in a session that began without a key. */
  readonly bound: boolean
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
  /**
   * Binds sessions to a key that does not leave the device (DPoP, RFC 9449): `true` for one in IndexedDB, which no script
   * can read. Where it cannot be kept, nobody is signed in: see `key_blocked`.
   */
  dpop?: boolean | { key: DpopKey } | undefined
}

export interface Client {
  /** Origin of the server. */
  readonly issuer: string
  /**
   * The user of the session that existed when the page was loaded, or `null`.
   * @throws ClavigerError if the issuer could not be asked. A visible tab goes on trying, and `onChange` will tell.
   * `cookie_blocked` if the browser would not keep the issuer's cookie, or has not; `key_blocked`.
   */
  readonly ready: Promise<User | null>
  /** Begins as `loading`, and stays so on a server that renders pages. */
  readonly state: AuthState
  /** The cause of the latest change; undefined before the first. */
  readonly cause: Cause | undefined
  /** The user as far as known. Does not become `null` because the issuer cannot be reached. */
  readonly user: User | null
  /** The key and what it is good for: `null` until `ready` has found one, undefined without the option `dpop`. */
  readonly dpop: Binding | null | undefined
  /** @throws ClavigerError `invalid_credentials`, `too_many_requests`, `network`, `cookie_blocked`, `key_blocked` … */
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
   * `window.fetch` that sends the access token to the issuer, the page's own origin and `resources`, and to no others. With
   * a token that is bound it follows no redirect, unless `redirect` says so.
   * @throws ClavigerError `network` if there was no answer, or why the token could not be renewed; `redirected`.
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
