import { type Cookie, MOST_BYTES, type Pair, parseCookies, replaceCookie, serialize } from './cookies.ts'
import { ClavigerError } from './errors.ts'
import { createExchange, type Found } from './exchange.ts'
import { type Held, isDue, isUsable, pack, SIGNED_OUT, sessionOf, unpack } from './held.ts'
import type { Post } from './issuer.ts'
import type { Jar } from './jar.ts'
import type { Settings } from './options.ts'
import { createSeal } from './seal.ts'
import type { Session, Visit } from './types.ts'

/** How long a page waits for the issuer; less if its token is still usable. */
const PATIENCE_MS = 10_000
const PATIENCE_AHEAD_MS = 2000

export interface Renewed {
  session: Session
  cookies: Cookie[]
  /** The request's `Cookie` header, as the code that renders the page should see it. */
  cookieHeader: string
}

export type Sessions = ReturnType<typeof createSessions>

/** The sessions of visitors, in their cookies. */
export function createSessions(settings: Settings, jar: Jar, post: Post) {
  const { secrets, issuer, site } = settings
  const seal = createSeal(secrets, `${issuer} ${site}`)
  const exchange = createExchange(settings, post, sealInto)

  /** @throws ClavigerError if no browser would keep the cookie. */
  async function sealInto(name: string, held: Held): Promise<string> {
    const sealed = await seal.seal(pack(held), name)
    const bytes = serialize(cookieOf(name, sealed, held)).length
    if (bytes <= MOST_BYTES) return sealed
    throw new ClavigerError(
      'cookie_too_large',
      0,
      `The cookie of the session would have ${bytes} bytes, and browsers keep ${MOST_BYTES}: the access token needs fewer roles, claims or audiences.`,
    )
  }

  const cookieOf = (name: string, sealed: string, { ends, remember }: Held): Cookie =>
    jar.keep(name, sealed, remember ? Math.max(1, Math.floor((ends - Date.now()) / 1000)) : undefined)

  async function open({ name, value }: Pair): Promise<Found | undefined> {
    const opened = await seal.open(value, name)
    return opened && { name, held: unpack(opened.plain), secret: opened.secret }
  }

  async function find(pairs: readonly Pair[]): Promise<Found | undefined> {
    const pair = jar.find(pairs)
    const found = pair && (await open(pair))
    return found && Date.now() < found.held.ends ? found : undefined
  }

  async function renew(visit: Visit): Promise<Renewed> {
    const header = visit.headers.get('cookie')
    const found = await find(parseCookies(header))
    if (!found) return { session: SIGNED_OUT, cookies: [], cookieHeader: header ?? '' }
    const { name, held } = found
    const seen = Date.now()
    if (!isDue(held, seen)) return { session: sessionOf(held, seen), cookies: [], cookieHeader: header ?? '' }

    const outcome = await within(exchange(found, visit), isUsable(held, seen) ? PATIENCE_AHEAD_MS : PATIENCE_MS)
    if (outcome?.kind === 'renewed') {
      return {
        // Used however short its life is, since it is brand new.
        session: { state: 'signed-in', user: outcome.held.user, accessToken: outcome.held.accessToken },
        cookies: [cookieOf(name, outcome.sealed, outcome.held)],
        cookieHeader: replaceCookie(header, name, outcome.sealed),
      }
    }
    if (outcome?.kind === 'over') {
      return { session: SIGNED_OUT, cookies: [jar.drop(name)], cookieHeader: replaceCookie(header, name, undefined) }
    }
    const kept = { ...held, unreachable: true }
    return {
      session: sessionOf(kept, Date.now()),
      cookies: [],
      // Not sent to a browser, so it may be larger than browsers allow.
      cookieHeader: replaceCookie(header, name, await seal.seal(pack(kept), name)),
    }
  }

  return {
    read: async (pairs: readonly Pair[]): Promise<Session> => {
      const found = await find(pairs)
      return found ? sessionOf(found.held, Date.now()) : SIGNED_OUT
    },
    renew,
    /** The cookies of a new session. @throws ClavigerError `cookie_too_large`. */
    begin: async (held: Held): Promise<Cookie[]> => {
      const name = jar.newName()
      return [cookieOf(name, await sealInto(name, held), held), jar.pointAt(name, held.remember)]
    },
    /** The refresh token of every session of which the request has a cookie, whether or not it is the one that counts. */
    refreshTokens: async (pairs: readonly Pair[]): Promise<string[]> => {
      const found = await Promise.all(jar.all(pairs).map(open))
      return found.flatMap((each) => each?.held.refreshToken ?? [])
    },
  }
}

/** @returns undefined if it takes longer. The result is kept for the next request. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, milliseconds, undefined)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
