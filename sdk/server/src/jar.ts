import { toBase64Url } from './bytes.ts'
import type { Cookie, Pair } from './cookies.ts'
import type { Settings } from './options.ts'

/** As long as browsers keep a cookie. The session that it points to ends before. */
const LONGEST_AGE = 400 * 86_400

export type Jar = ReturnType<typeof createJar>

/**
 * Names of the site's cookies. Answers arrive late and in any order, so no answer may touch a session that came after the one
 * it is about. Each session therefore has a cookie of a name of its own, and one more cookie, the pointer, holds the name that
 * counts. A refresh, or a refusal, writes the cookie of its own session alone. The pointer is written by who signs in or out.
 */
export function createJar({ cookie, site, secure }: Pick<Settings, 'cookie' | 'site' | 'secure'>) {
  // Cookies know no ports: sites on several ports of one host would take each other's, and sign each other out.
  const pointer = (secure ? '__Host-' : '') + [cookie, new URL(site).port].filter(Boolean).join('-')
  const attributes = { path: '/', httpOnly: true, secure, sameSite: 'lax' } as const
  const own = (pairs: readonly Pair[]) => pairs.filter(({ name }) => name.startsWith(`${pointer}.`))

  return {
    newName: (): string => `${pointer}.${toBase64Url(crypto.getRandomValues(new Uint8Array(9)))}`,
    /** Cookies of sessions, the present one and any that should be gone. */
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
    pointNowhere: (): Cookie => ({ name: pointer, value: '', ...attributes, maxAge: 0 }),
  }
}
