import { type Cookie, parseCookies } from './cookies.ts'
import { ClavigerError } from './errors.ts'
import { hold } from './held.ts'
import type { Post } from './issuer.ts'
import type { Jar } from './jar.ts'
import type { Settings } from './options.ts'
import type { Sessions } from './sessions.ts'
import type { Credentials, SignIn, User, Visit } from './types.ts'

export interface SignedIn {
  user: User
  cookies: Cookie[]
}

export interface SignedOut {
  /** Whether the issuer has ended the session. If not, it could not be told, but the token is gone from the browser. */
  ended: boolean
  cookies: Cookie[]
}

/** Signing in, signing out, and creating an account. */
export function createEntrance(
  settings: Settings,
  { jar, sessions, post }: { jar: Jar; sessions: Sessions; post: Post },
) {
  const { clientId, audience, scope } = settings

  const pairsOf = (visit: Visit) => parseCookies(visit.headers.get('cookie'))
  const dropAll = (visit: Visit): Cookie[] => jar.all(pairsOf(visit)).map(({ name }) => jar.drop(name))

  /** @returns whether the issuer has ended them all. */
  async function end(tokens: (string | undefined)[], visit: Visit): Promise<boolean> {
    const ends = tokens.map((token) => post('/logout', { refresh_token: token }, visit))
    return (await Promise.allSettled(ends)).every(({ status }) => status === 'fulfilled')
  }

  return {
    signIn: async ({ email, password, remember = false }: SignIn, visit: Visit): Promise<SignedIn> => {
      const sentAt = Date.now()
      const device_token = jar.deviceToken(pairsOf(visit))
      const reply = await post('/login', { email, password, client_id: clientId, audience, scope, device_token }, visit)
      const held = hold(reply, sentAt, remember)
      try {
        const cookies = await sessions.begin(held)
        // The previous user is signed out, as by every sign-in that overwrites a cookie.
        await end(await sessions.refreshTokens(pairsOf(visit)), visit)
        return { user: held.user, cookies: [...dropAll(visit), ...cookies, ...jar.keepDevice(reply.device_token)] }
      } catch (error) {
        if (error instanceof ClavigerError) await end([held.refreshToken], visit)
        throw error
      }
    },
    /** Signs out here, even without a network. */
    signOut: async (visit: Visit): Promise<SignedOut> => {
      const cookies = [...dropAll(visit), jar.pointNowhere()]
      return { cookies, ended: await end(await sessions.refreshTokens(pairsOf(visit)), visit) }
    },
    register: async ({ email, password }: Credentials, visit: Visit): Promise<User | null> =>
      (await post('/register', { email, password }, visit)).user ?? null,
  }
}
