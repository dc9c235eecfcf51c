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
  /** Who asks: in server components, actions and route handlers. Reads the cookie and asks nobody. */
  auth(): Promise<Session>
  /**
   * For `proxy.ts`: refreshes where it is due, since server components cannot set cookies.
   * @param decide answers instead, or lets it pass by answering `undefined`.
   */
  createProxy<R extends Request = Request>(decide?: Decide<R>): (request: R) => Promise<Response>
  /** For `app/auth/[action]/route.ts`. */
  handlers: Record<'GET' | 'POST', (request: Request) => Promise<Response>>
  /** In server actions. @throws ClavigerError `invalid_credentials`, `too_many_requests`, `network` … */
  signIn(credentials: SignIn): Promise<User>
  /** In server actions. Signed out here in any case. @returns whether the issuer could be told to end the session. */
  signOut(): Promise<boolean>
  /** In server actions. Makes an account and signs nobody in. `null`: the answer comes by mail. @throws ClavigerError */
  register(credentials: Credentials): Promise<User | null>
}

/** One per site. @throws TypeError for options that make no sense. */
export function createAuth(options: Options): NextAuth {
  const core = createCore(options)
  const handle = createHandle(core)
  /** Not left to Next.js alone, of which some versions took the `Origin: null` of a sandboxed frame for none at all. */
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
      // By what actions have set already, where `headers` still has what came. And first: it tells a build that the page
      // cannot be made before somebody asks.
      const jar = await cookies()
      return core().sessions.read(jar.getAll())
    },
    createProxy: (decide) => async (request) => {
      const forwarded = new Headers(request.headers)
      const pass = () => NextResponse.next({ request: { headers: forwarded } })
      // These set cookies of their own.
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
