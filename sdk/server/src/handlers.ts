import { type Cookie, serialize } from './cookies.ts'
import type { Core } from './core.ts'
import { ClavigerError } from './errors.ts'
import { requireOwnPage } from './origin.ts'
import type { Session } from './types.ts'

/** Longer than any address and password. */
const MOST_BYTES = 16_384

/** Headers that CDNs read instead of `Cache-Control` (RFC 9213 §2.2). */
const TARGETED = /(^|-)cdn-cache-control$|^surrogate-control$/

/** Sets the cookies on an answer, and keeps it out of all caches, so that nobody else gets them. */
export function withCookies(response: Response, cookies: readonly Cookie[]): Response {
  if (cookies.length === 0) return response
  // Copied, because the headers of a redirect cannot be changed.
  const answer = new Response(response.body, response)
  for (const cookie of cookies) answer.headers.append('set-cookie', serialize(cookie))
  answer.headers.set('cache-control', 'private, no-store')
  for (const name of response.headers.keys()) if (TARGETED.test(name)) answer.headers.delete(name)
  return answer
}

/** Answers the requests of pages for `login`, `logout`, `register` and `session`, below `path`. */
export function createHandle(core: () => Core): (request: Request) => Promise<Response> {
  const routes: Record<string, (request: Request) => Promise<Response>> = {
    'POST login': async (request) => {
      const { email, password, remember } = await readBody(request)
      const { user, cookies } = await core().signIn({ email, password, remember: remember === true }, request)
      return withCookies(answer(200, { user }), cookies)
    },
    'POST register': async (request) => {
      const user = await core().register(await readBody(request), request)
      return answer(user ? 201 : 202, { user })
    },
    'POST logout': async (request) => {
      const { cookies } = await core().signOut(request)
      return withCookies(answer(204), cookies)
    },
    'GET session': async (request) => {
      const { session, cookies } = await core().sessions.renew(request)
      return withCookies(answer(200, { state: session.state, user: session.user }), cookies)
    },
  }

  return async (request) => {
    const { settings } = core()
    const { pathname } = new URL(request.url)
    const name = pathname.startsWith(`${settings.path}/`) ? pathname.slice(settings.path.length + 1) : ''
    try {
      const route = routes[`${request.method} ${name}`]
      if (!route) throw new ClavigerError('not_found', 404, 'No such thing')
      if (request.method === 'POST') requireOwnPage(request, settings.site)
      return await route(request)
    } catch (error) {
      if (error instanceof ClavigerError) return problem(error)
      throw error
    }
  }
}

/** Calls a handler with the session of the visitor, refreshed if that is due. */
export function createWithSession(core: () => Core) {
  return <Rest extends unknown[]>(
    handler: (request: Request, session: Session, ...rest: Rest) => Response | Promise<Response>,
  ): ((request: Request, ...rest: Rest) => Promise<Response>) =>
    async (request, ...rest) => {
      const { session, cookies } = await core().sessions.renew(request)
      return withCookies(await handler(request, session, ...rest), cookies)
    }
}

const answer = (status: number, body?: object): Response =>
  new Response(body && JSON.stringify(body), {
    status,
    headers: { 'cache-control': 'no-store', ...(body && { 'content-type': 'application/json' }) },
  })

/** A problem document (RFC 9457), as the issuer's. */
function problem({ code, status, message, retryAfter }: ClavigerError): Response {
  const shown = status || (code === 'network' ? 503 : 500)
  const headers = {
    'cache-control': 'no-store',
    'content-type': 'application/problem+json',
    ...((retryAfter ?? shown === 503) && { 'retry-after': String(retryAfter ?? 1) }),
  }
  return new Response(JSON.stringify({ title: message, status: shown, code }), { status: shown, headers })
}

async function readBody(request: Request): Promise<{ email: string; password: string; remember?: unknown }> {
  // A page of another site cannot send JSON without a CORS preflight.
  if (!/^application\/json\b/i.test(request.headers.get('content-type') ?? ''))
    throw new ClavigerError('unsupported_media_type', 415, 'The body must be application/json')
  const text = await readText(request)
  try {
    const body = JSON.parse(text) as Record<string, unknown> | null
    const { email, password } = body ?? {}
    if (typeof email === 'string' && typeof password === 'string') return { ...body, email, password }
  } catch {
    // Said below.
  }
  throw new ClavigerError('invalid_request', 400, 'The body must be JSON with email and password')
}

async function readText(request: Request): Promise<string> {
  let bytes = 0
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of request.body ?? []) {
    bytes += (chunk as Uint8Array).length
    if (bytes > MOST_BYTES) throw new ClavigerError('body_too_large', 413, 'The body is too large')
    text += decoder.decode(chunk as Uint8Array, { stream: true })
  }
  return text
}
