import { ClavigerError } from './errors.ts'
import type { User } from './types.ts'

/** Longer than the server takes at its worst. */
const TIMEOUT_MS = 20_000
const LONGEST_RETRY_AFTER = 3600

export interface Reply {
  access_token: string
  /** Seconds. */
  expires_in: number
  /** Seconds until the session ends if it is not used. */
  refresh_expires_in: number
  user: User
  refresh_token?: string
}

/** @throws ClavigerError unless the answer is a success that can be read whole. */
export type Post = (path: string, body?: object, headers?: Record<string, string>) => Promise<Partial<Reply>>

export function createPost(issuer: string, credentials: 'omit' | 'include', send: typeof fetch): Post {
  return async (path, body, headers) => {
    const control = new AbortController()
    const timer = setTimeout(() => control.abort(), TIMEOUT_MS)
    let response: Response | undefined
    try {
      response = await send(issuer + path, {
        method: 'POST',
        mode: 'cors',
        cache: 'no-store',
        redirect: 'error',
        credentials,
        // The person may close the page the moment they have signed out.
        keepalive: path === '/logout',
        signal: control.signal,
        ...(body && { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }),
      })
      const text = await response.text()
      if (response.ok) return text ? JSON.parse(text) : {}
      const problem = JSON.parse(text)
      throw new ClavigerError(
        problem.code ?? 'unexpected',
        response.status,
        problem.detail ?? problem.title,
        retryAfter(response),
      )
    } catch (error) {
      if (error instanceof ClavigerError) throw error
      // A success that is cut off or is no JSON (a captive portal's page) says nothing about the session.
      if (!response || response.ok) throw new ClavigerError('network', 0, 'No answer', undefined, error)
      throw new ClavigerError('unexpected', response.status, 'Not an answer of Claviger', retryAfter(response), error)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Seconds or an HTTP-date (RFC 9110 §10.2.3), which is measured by the clock that it comes from. @returns seconds. */
function retryAfter({ headers }: Response): number | undefined {
  const value = headers.get('retry-after')
  if (!value) return
  const date = (text: string | null) => Date.parse(text ?? '')
  const seconds = /^\d+$/.test(value) ? Number(value) : (date(value) - (date(headers.get('date')) || Date.now())) / 1000
  return seconds > 0 ? Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER) : undefined
}
