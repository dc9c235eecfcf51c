import { type Cookie, parseCookies, serialize } from './cookies.ts'
import { createCore } from './core.ts'
import { createHandle, createWithSession } from './handlers.ts'
import type { Options } from './options.ts'
import type { Credentials, Session, SignIn, User, Visit } from './types.ts'

export interface ServerClient {
  /** The session of the visitor, from the cookie alone: if it was ended elsewhere, that shows only at the next refresh. */
  read(visit: Visit): Promise<Session>
  /**
   * The same, after a refresh if one is due. For places that can set cookies: all of `setCookies` must be sent.
   * `cookieHeader` is the request's `Cookie` header as it would be with them.
   */
  renew(visit: Visit): Promise<{ session: Session; setCookies: string[]; cookieHeader: string }>
  /** @throws ClavigerError `invalid_credentials`, `too_many_requests`, `network` … */
  signIn(credentials: SignIn, visit: Visit): Promise<{ user: User; setCookies: string[] }>
  /** Signs out here in any case. `ended` says whether the issuer could be told to end the session. */
  signOut(visit: Visit): Promise<{ ended: boolean; setCookies: string[] }>
  /** Creates an account without signing in. `null` if the answer comes by mail. @throws ClavigerError `email_taken` … */
  register(credentials: Credentials, visit: Visit): Promise<User | null>
  /** Answers POST `login`, `logout`, `register` and GET `session` below `path`, for scripts of the site's own pages. */
  handle(request: Request): Promise<Response>
  /**
   * Wraps a handler that gets the visitor's session. Refreshes if that is due, and sets the cookie on the handler's
   * answer.
   */
  withSession<Rest extends unknown[]>(
    handler: (request: Request, session: Session, ...rest: Rest) => Response | Promise<Response>,
  ): (request: Request, ...rest: Rest) => Promise<Response>
}

/** One per site and process. @throws TypeError for options that make no sense. */
export function createServerClient(options: Options): ServerClient {
  const core = createCore(options)
  const told = <T extends { cookies: readonly Cookie[] }>({ cookies, ...rest }: T) => ({
    ...rest,
    setCookies: cookies.map(serialize),
  })
  return {
    read: async (visit) => core().sessions.read(parseCookies(visit.headers.get('cookie'))),
    renew: async (visit) => told(await core().sessions.renew(visit)),
    signIn: async (credentials, visit) => told(await core().signIn(credentials, visit)),
    signOut: async (visit) => told(await core().signOut(visit)),
    register: async (credentials, visit) => core().register(credentials, visit),
    handle: createHandle(core),
    withSession: createWithSession(core),
  }
}
