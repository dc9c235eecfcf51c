import { isOver } from './errors.ts'
import { trustedOrigins } from './origins.ts'
import { elapsed, platform } from './platform.ts'
import { createSession } from './session.ts'
import type { Client, Options } from './types.ts'

/** A service that refuses fresh tokens too must not cost a refresh per request. */
const REFUSALS_APART_MS = 10_000

/** Looks for a session at once. One client per page is enough; those of other tabs share its session. */
export function createClient(options: Options): Client {
  // Looked up at each call: whoever wraps `fetch` later is heard too.
  const send: typeof fetch = (input, init) => (options.fetch ?? fetch)(input, init)
  const issuer = options.issuer.replace(/\/+$/, '')
  const trusted = trustedOrigins(issuer, options.resources)
  const session = createSession(options, issuer, send)
  let refusedAt = -REFUSALS_APART_MS
  let replacing: Promise<string | undefined> | undefined

  /** Undefined if nobody is signed in, or can be: the request then goes without. */
  const token = (refused?: string): Promise<string | undefined> =>
    session.token(refused).catch((error) => {
      if (isOver(error) || error.code === 'cookie_blocked') return undefined
      throw error
    })

  async function fetchWithToken(...[input, init]: Parameters<typeof fetch>): Promise<Response> {
    // Read once, so that what is judged is what is sent: a Request of another window is no `instanceof Request`, and an
    // object may name another URL each time it is asked.
    const request = 'clone' in Object(input) ? new Request(input) : undefined
    const url = new URL(request?.url ?? (input as string), platform.document?.baseURI)
    const target = request ?? url.href
    const headers = new Headers(init?.headers ?? request?.headers)
    if (!trusted.has(url.origin) || headers.has('authorization')) return send(target, init)

    const first = await unlessAborted(token(), init?.signal ?? request?.signal)
    if (!first) return send(target, init)
    const attach = (value: string) => {
      headers.set('authorization', `Bearer ${value}`)
      return { ...init, headers }
    }
    // A stream can be sent once only; `duplex` is what it takes to send one.
    const replayable = !(init as { duplex?: string } | undefined)?.duplex
    const response = await send(request && replayable ? request.clone() : target, attach(first))
    // What another origin said, after a redirect, is not about the token: it has not seen it.
    const refused = response.status === 401 && new URL(response.url || url).origin === url.origin
    if (!refused || !replayable) return response

    const replace = () => token(first).catch(() => undefined)
    if (session.state.held?.token === first && !replacing) {
      if (elapsed() - refusedAt < REFUSALS_APART_MS) return response
      refusedAt = elapsed()
      replacing = replace().finally(() => {
        replacing = undefined
      })
    }
    const second = await (replacing ?? replace())
    if (!second) return response
    void response.body?.cancel()
    return send(target, attach(second))
  }

  return {
    ...session.calls,
    get state() {
      return session.state.status
    },
    get user() {
      return session.state.user
    },
    fetch: fetchWithToken,
    getAccessToken: () => session.token(),
  }
}

/** Waits no longer than the caller of `fetch` wants to. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    void promise.then(resolve, reject).then(() => signal.removeEventListener('abort', abort))
  })
}
