import { isBlocked, isOver } from './errors.ts'
import { trustedOrigins } from './origins.ts'
import { elapsed, platform } from './platform.ts'
import { createSession } from './session.ts'
import type { Client, Options } from './types.ts'

/** A service that refuses even fresh tokens must not cause a refresh per request. */
const REFUSALS_APART_MS = 10_000

/** Creates a client and looks for a session at once. One per page is enough; the clients of all tabs share a session. */
export function createClient(options: Options): Client {
  if (!/^https?:\/\/./i.test(options.issuer)) throw new TypeError(`issuer: ${options.issuer} is no URL of a server`)
  const issuer = new URL(options.issuer).origin
  const trusted = trustedOrigins(issuer, options.resources)
  const session = createSession(options, issuer)
  const send = session.send
  let refusedAt = -REFUSALS_APART_MS
  let replacing: Promise<unknown> | undefined

  /** Undefined if nobody is or can be signed in: the request is then sent without a token. */
  const token = (refused?: string): Promise<string | undefined> =>
    session.token(refused).catch((error) => {
      if (isOver(error) || isBlocked(error)) return undefined
      throw error
    })

  async function fetchWithToken(...[input, init]: Parameters<typeof fetch>): Promise<Response> {
    // Read once, so that the URL that is checked is the one that is used: an object may return another each time it is
    // read. A Request from another window is not `instanceof Request`.
    const request = 'clone' in Object(input) ? new Request(input) : undefined
    const url = new URL(request?.url ?? (input as string), platform.document?.baseURI)
    const target = request ?? url.href
    const headers = new Headers(init?.headers ?? request?.headers)
    if (headers.has('authorization')) return send(target, init)
    if (!trusted.has(url.origin)) return session.plain(target, init)

    const first = await unlessAborted(token(), init?.signal ?? request?.signal)
    if (!first) return send(target, init)
    const sendWith = (value: string, what: typeof target) => {
      headers.set('authorization', `Bearer ${value}`)
      return send(what, { ...init, headers })
    }
    const response = await sendWith(first, request?.clone() ?? target)
    // After a redirect to another origin, a 401 is not about the token, which that origin has not seen.
    const refused = response.status === 401 && new URL(response.url || url).origin === url.origin
    // A stream can be sent only once. A request with `duplex` has one.
    if (!refused || (init as { duplex?: string } | undefined)?.duplex) return response

    if (session.state.held?.token === first && elapsed() - refusedAt > REFUSALS_APART_MS) {
      refusedAt = elapsed()
      replacing = token(first).catch(() => {})
    }
    await replacing
    const second = session.state.held?.token
    if (!second || second === first) return response
    void response.body?.cancel()
    return sendWith(second, target)
  }

  return Object.assign(session.calls, { issuer, fetch: fetchWithToken, getAccessToken: () => session.token() })
}

/** Stops waiting when the caller of `fetch` aborts. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    void promise.then(resolve, reject).then(() => signal.removeEventListener('abort', abort))
  })
}
