import { toBase64Url } from './bytes.ts'
import type { Cookie, Pair } from './cookies.ts'
import type { Settings } from './options.ts'

/** The longest that browsers keep a cookie. The session that it points to ends sooner. */
const LONGEST_AGE = 400 * 86_400
/** As long as the issuer knows a device. */
const DEVICE_AGE = 365 * 86_400
/** What may be in a cookie as it is. */
const DEVICE_TOKEN = /^[\w-]{1,200}$/

export type Jar = ReturnType<typeof createJar>

/**
 * The site's cookies. Answers arrive late and in any order, and none may touch a session that began after the one that
 * it is about. So each session has a cookie with its own name, and another cookie, the pointer, names the one that
 * counts. A refresh or a refusal writes only the cookie of its own session; only signing in or out writes the pointer.
 */
export function createJar({ cookie, site, secure }: Pick<Settings, 'cookie' | 'site' | 'secure'>) {
  // Cookies ignore ports: sites on several ports of one host would share them, and sign each other's users out.
  const pointer = (secure ? '__Host-' : '') + [cookie, new URL(site).port].filter(Boolean).join('-')
  const attributes = { path: '/', httpOnly: true, secure, sameSite: 'lax' } as const
  const device = `${pointer}-device`
  const own = (pairs: readonly Pair[]) => pairs.filter(({ name }) => name.startsWith(`${pointer}.`))

  return {
    newName: (): string => `${pointer}.${toBase64Url(crypto.getRandomValues(new Uint8Array(9)))}`,
    /** The cookies of sessions: the present one and any that should be gone. */
    all: own,
    /** The cookie of the session that counts. */
    find: (pairs: readonly Pair[]): Pair | undefined => {
      const named = new Set(pairs.filter(({ name }) => name === pointer).map(({ value }) => `${pointer}.${value}`))
      const found = own(pairs).filter(({ name }) => named.has(name))
      return found.length === 1 ? found[0] : undefined
    },
    keep: (name: string, value: string, maxAge: number | undefined): Cookie => ({
      name,
      value,
      ...attributes,
      ...(maxAge !== undefined && { maxAge }),
    }),
    drop: (name: string): Cookie => ({ name, value: '', ...attributes, maxAge: 0 }),
    pointAt: (name: string, remember: boolean): Cookie => ({
      name: pointer,
      value: name.slice(pointer.length + 1),
      ...attributes,
      ...(remember && { maxAge: LONGEST_AGE }),
    }),
    /** What the issuer knows this browser by, as one on which somebody has signed in before. It outlives sessions. */
    deviceToken: (pairs: readonly Pair[]): string | undefined => {
      const [found, another] = pairs.filter(({ name, value }) => name === device && DEVICE_TOKEN.test(value))
      return another ? undefined : found?.value
    },
    keepDevice: (token: string | undefined): Cookie[] =>
      token !== undefined && DEVICE_TOKEN.test(token)
        ? [{ name: device, value: token, ...attributes, maxAge: DEVICE_AGE }]
        : [],
    pointNowhere: (): Cookie => ({ name: pointer, value: '', ...attributes, maxAge: 0 }),
  }
}
