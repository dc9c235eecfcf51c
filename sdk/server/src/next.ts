import { cookies, headers } from 'next/headers.js'
import { NextResponse } from 'next/server.js'
import type { Cookie } from './cookies.ts'
import { createCore } from './core.ts'
import { createHandle, withCookies } from './handlers.ts'
import type { Options } from './options.ts'
import { requireOwnPage } from './origin.ts'
import type { Credentials, Session, SignIn, User } from './types.ts'

export type Decide<R extends Request> = (
  request: R,
  session: Session,
  /** For `NextResponse.next` and `rewrite`: `{ request: { headers } }`, so that what is rendered sees the new cookie. */
  headers: Headers,
) => Response | undefined | Promise<Response | undefined>

export interface NextAuth {
  /** The session of the visitor, in server components, actions and route handlers. Only reads the cookie. */
  auth(): Promise<Session>
  /**
   * For `proxy.ts`: refreshes the session if that is due, since server components cannot set cookies.
   * @param decide may answer the request itself; `undefined` lets it pass.
   */
  createProxy<R extends Request = Request>(decide?: Decide<R>): (request: R) => Promise<Response>
  /** For `app/auth/[action]/route.ts`. */
  handlers: Record<'GET' | 'POST', (request: Request) => Promise<Response>>
  /** In server actions. @throws ClavigerError `invalid_credentials`, `too_many_requests`, `network` … */
  signIn(credentials: SignIn): Promise<User>
  /** In server actions. Signs out here in any case. @returns whether the issuer could be told to end the session. */
  signOut(): Promise<boolean>
  /** In server actions. Creates an account without signing in. `null` if the answer comes by mail. @throws ClavigerError */
  register(credentials: Credentials): Promise<User | null>
}

/** One per site. @throws TypeError for options that make no sense. */
export function createAuth(options: Options): NextAuth {
  const core = createCore(options)
  const handle = createHandle(core)
  /** Checked here too, because some versions of Next.js took the `Origin: null` of a sandboxed frame for a missing one. */
  const ownPage = async () => {
    const visit = { headers: await headers() }
    requireOwnPage(visit, core().settings.site)
    return visit
  }
  const set = async (changes: readonly Cookie[]) => {
    const jar = await cookies()
    for (const cookie of changes) jar.set(cookie)
  }

  return {
    auth: async () => {
      // Read from `cookies`, which includes what actions have set, unlike `headers`. Read first, because it tells a
      // build that the page cannot be rendered in advance.
      const jar = await cookies()
      return core().sessions.read(jar.getAll())
    },
    createProxy: (decide) => async (request) => {
      const forwarded = new Headers(request.headers)
      const pass = () => NextResponse.next({ request: { headers: forwarded } })
      // The handlers set their own cookies.
      if (new URL(request.url).pathname.startsWith(`${core().settings.path}/`)) return pass()
      const { session, cookies: changes, cookieHeader } = await core().sessions.renew(request)
      if (cookieHeader) forwarded.set('cookie', cookieHeader)
      else forwarded.delete('cookie')
      return withCookies((await decide?.(request, session, forwarded)) ?? pass(), changes)
    },
    handlers: { GET: handle, POST: handle },
    signIn: async (credentials) => {
      const { user, cookies: changes } = await core().signIn(credentials, await ownPage())
      await set(changes)
      return user
    },
    signOut: async () => {
      const { ended, cookies: changes } = await core().signOut(await ownPage())
      await set(changes)
      return ended
    },
    register: async (credentials) => core().register(credentials, await ownPage()),
  }
}
