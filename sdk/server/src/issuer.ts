import { ClavigerError } from './errors.ts'
import { createIntroduction } from './introduction.ts'
import type { Settings } from './options.ts'
import type { User, Visit } from './types.ts'

/** Somebody is waiting for the page that is being rendered. */
const TIMEOUT_MS = 10_000
const LONGEST_RETRY_AFTER = 3600

export interface Reply {
  access_token: string
  /** Seconds. */
  expires_in: number
  refresh_token: string
  /** Seconds. */
  refresh_expires_in: number
  /** Only at a sign-in. */
  device_token: string
  user: User
}

/** @throws ClavigerError unless the answer is a success that can be read whole. */
export type Post = (
  path: string,
  body: object,
  visit: Visit | undefined,
  headers?: Record<string, string>,
) => Promise<Partial<Reply>>

export function createPost({ issuer, ...settings }: Settings): Post {
  const aboutVisitor = createIntroduction(settings)
  // Looked up at each call, so that instrumentation which replaces it later is used.
  const send = settings.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  return async (path, body, visit, headers) => {
    const from = visit && aboutVisitor(visit)
    let response: Response | undefined
    try {
      response = await send(issuer + path, {
        method: 'POST',
        cache: 'no-store',
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: { 'content-type': 'application/json', ...from, ...headers },
        body: JSON.stringify(body),
      })
      const text = await response.text()
      if (response.ok) return text ? (JSON.parse(text) as Partial<Reply>) : {}
      throw problemOf(response, JSON.parse(text) as Record<string, unknown>)
    } catch (error) {
      if (error instanceof ClavigerError) throw error
      // A success that is cut off or not JSON says nothing about the session.
      if (!response || response.ok) throw new ClavigerError('network', 0, `No answer of ${issuer}`, undefined, error)
      throw new ClavigerError('unexpected', response.status, 'Not an answer of Claviger', retryAfter(response), error)
    }
  }
}

function problemOf(response: Response, problem: Record<string, unknown>): ClavigerError {
  const { code, detail, title } = problem
  if (typeof code !== 'string') throw new TypeError('no problem document of Claviger')
  return new ClavigerError(code, response.status, String(detail ?? title), retryAfter(response))
}

/** Seconds or an HTTP-date (RFC 9110 §10.2.3), which is compared with the `Date` of the reply. @returns seconds. */
function retryAfter({ headers }: Response): number | undefined {
  const value = headers.get('retry-after')
  if (!value) return undefined
  const date = (text: string | null) => Date.parse(text ?? '')
  const seconds = /^\d+$/.test(value) ? Number(value) : (date(value) - (date(headers.get('date')) || Date.now())) / 1000
  return seconds > 0 ? Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER) : undefined
}
