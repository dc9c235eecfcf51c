import type { ClavigerError } from '../errors.ts'
import type { Binding, DpopKey } from '../types.ts'
import { type Key, keySource } from './key.ts'
import { makeProof } from './proof.ts'
import { type Refusal, refusalOf } from './refusal.ts'

/** How far two clocks may be apart before a refusal is put down to that. Servers allow for a minute. */
const CLOCKS_APART_MS = 30_000
/** For so long a nonce of the issuer is good at least. An older one may cost a request more, and none does not. */
const NONCE_MS = 30_000
const GRANTS = /^\/(login|refresh)$/
const REDIRECTS = /^30[12378]$/

/** What is known of an origin that gets proofs. */
interface Place {
  nonce?: string
  /** When it came, by `performance.now`. */
  at: number
  /** Milliseconds by which its clock is ahead of ours. */
  ahead?: number
}

export interface Prover {
  /**
   * `fetch` that gives each sign-in, each refresh and each access token of a bound session its proof.
   * @throws ClavigerError `key_blocked`, `redirected`; else what `fetch` throws.
   */
  send: typeof fetch
  /** Finds the key, or makes it. @throws ClavigerError `key_blocked`. */
  prepare(): Promise<void>
  /** Undefined before a key was found. */
  binding(token: string | undefined): Binding | undefined
}

/**
 * Proves with each request that the key is here, to the issuer and to whoever gets the access token (RFC 9449).
 * @param name of the database, as of the client's record and lock.
 * @param Failure handed over, so that bundlers leave it with those who do not load this.
 */
export function createProver(
  name: string,
  issuer: string,
  { key: own }: { key?: DpopKey },
  fetch: typeof globalThis.fetch,
  Failure: typeof ClavigerError,
): Prover {
  const readKey = keySource(name, own)
  const places = new Map<string, Place>()
  let key: Key | undefined

  const blocked = (reason: string, cause?: unknown) =>
    new Failure('key_blocked', 0, `No key for DPoP here: ${reason}`, undefined, cause)
  /** Nothing is ever sent without the proof that belongs to it: the caller is told instead. */
  const orBlocked = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw blocked((error as Error).message, error)
    })
  const load = async (): Promise<Key> => (key = await orBlocked(readKey()))

  function placeOf(origin: string): Place {
    const place = places.get(origin) ?? { at: 0 }
    places.set(origin, place)
    return place
  }

  /** @throws ClavigerError `key_blocked`, also if the token is bound to a key that is not here. */
  async function keyFor(url: URL, bound: string | undefined): Promise<Key> {
    // A sign-in binds to the key that the other tabs and the next start will find.
    const present = (url.pathname !== '/login' && key) || (await load())
    if (!bound || present.jkt === bound) return present
    // Somebody has signed in in another tab, which has had to make a new one.
    const newer = await load()
    if (newer.jkt !== bound) throw blocked('the token is bound to another')
    return newer
  }

  /** What a reply tells for the next proof. @returns milliseconds by which the other clock is ahead, if that was learnt. */
  function learn({ headers }: Response, place: Place, isTimely: boolean): number | undefined {
    const nonce = headers.get('dpop-nonce')
    if (nonce) Object.assign(place, { nonce, at: performance.now() })
    const date = isTimely ? Date.parse(headers.get('date') ?? '') : Number.NaN
    return Number.isNaN(date) ? undefined : (place.ahead = date - Date.now())
  }

  async function send(...[input, init]: Parameters<typeof fetch>): Promise<Response> {
    const request = typeof input === 'object' && 'clone' in input ? input : undefined
    const url = new URL(request?.url ?? (input as string))
    const headers = new Headers(init?.headers ?? request?.headers)
    const token = /^Bearer (\S+)$/.exec(headers.get('authorization') ?? '')?.[1]
    // The scheme follows the token: that of a session without a key goes as it is.
    const bound = token && jktOf(token)
    const isGrant = url.origin === issuer && GRANTS.test(url.pathname)
    if (!bound && !isGrant) return fetch(input, init)

    let signer = await keyFor(url, bound)
    if (bound) headers.set('authorization', `DPoP ${token}`)
    const { method } = new Request(url, { method: init?.method ?? request?.method ?? 'GET' })
    // The browser would take the same proof along, to a URL that it is not for and to other origins.
    const isGuarded = !init?.redirect && (request?.redirect ?? 'follow') === 'follow'
    const place = placeOf(url.origin)
    const tried = new Set<Refusal>()
    for (;;) {
      const ahead = place.ahead ?? placeOf(issuer).ahead ?? 0
      const nonce = url.origin === issuer && performance.now() - place.at > NONCE_MS ? undefined : place.nonce
      const claims = { method, url, iat: Math.floor((Date.now() + ahead) / 1000), nonce, token: bound && token }
      headers.set('dpop', await orBlocked(makeProof(signer, claims)))
      // Each attempt is the same request, with its Idempotency-Key, and a proof of its own.
      const response = await fetch(request?.clone() ?? input, {
        ...init,
        headers,
        ...(isGuarded && { redirect: 'manual' }),
      })
      if (isGuarded && (response.type === 'opaqueredirect' || REDIRECTS.test(`${response.status}`)))
        throw new Failure('redirected', response.status, `${url.href} leads elsewhere, and a proof is for one URL`)
      if (response.redirected) return response

      const refusal = await refusalOf(response, isGrant)
      // Other replies may come out of a cache, with the date of long ago.
      const now = learn(response, place, isGrant || refusal !== undefined)
      // A stream can be sent only once.
      if (!refusal || tried.has(refusal) || (init as { duplex?: string } | undefined)?.duplex) return response
      tried.add(refusal)
      if (refusal === 'use_dpop_nonce') {
        if (!place.nonce || place.nonce === nonce) return response
      } else {
        // Of another tab that has signed in, if a token is bound to no key yet.
        const other = bound ? signer : await load()
        const isLate = now !== undefined && Math.abs(now - ahead) > CLOCKS_APART_MS
        if (!isLate && other.jkt === signer.jkt) return response
        signer = other
      }
      void response.body?.cancel()
    }
  }

  return {
    send,
    prepare: async () => void (key ?? (await load())),
    binding: (token) => key && { jkt: key.jkt, bound: !!token && !!jktOf(token) },
  }
}

/** @returns thumbprint of the key that a token is bound to. */
function jktOf(token: string): string | undefined {
  try {
    const claims = JSON.parse(atob((token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/')))
    return claims.cnf.jkt as string
  } catch {
    // Not bound, or opaque.
    return undefined
  }
}
