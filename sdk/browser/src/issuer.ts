import { ClavigerError, noAnswer, wrongIssuer } from './errors.ts'
import type { User } from './types.ts'

/** Longer than the server ever takes. */
const TIMEOUT_MS = 20_000
const LONGEST_RETRY_AFTER = 3600

export interface Reply {
  access_token: string
  /** Seconds. */
  expires_in: number
  /** Seconds until the session ends unless it is used. */
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
    try {
      const response = await send(issuer + path, {
        method: 'POST',
        redirect: 'error',
        credentials,
        // People may close the page as soon as they have signed out.
        keepalive: path === '/logout',
        signal: control.signal,
        ...(body && { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }),
      })
      return await read(issuer, response)
    } catch (error) {
      throw error instanceof ClavigerError ? error : noAnswer(error)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** @throws ClavigerError unless it is a success of the issuer's that can be read whole. */
export async function read<Answer>(issuer: string, response: Response): Promise<Partial<Answer>> {
  const { ok, status } = response
  let answer: Partial<Answer> & { code?: string; title?: string; detail?: string } = {}
  try {
    answer = Object(JSON.parse((await response.text()) || '{}'))
  } catch (error) {
    // A success that is cut off or not JSON, such as the page of a captive portal, says nothing about the session.
    if (ok) throw noAnswer(error)
  }
  if (ok) return answer
  const { code, detail, title } = answer
  if (typeof code !== 'string' && /40[45]/.test(`${status}`)) throw wrongIssuer(issuer, status)
  throw new ClavigerError(code ?? 'unexpected', status, detail ?? title ?? 'no Claviger answered', retryAfter(response))
}

/** Seconds or an HTTP-date (RFC 9110 §10.2.3), which is compared with the `Date` of the reply. @returns seconds. */
function retryAfter({ headers }: Response): number | undefined {
  const value = headers.get('retry-after') ?? ''
  const sent = Date.parse(headers.get('date') ?? '') || Date.now()
  const seconds = Number(value) || (Date.parse(value) - sent) / 1000
  return seconds > 0 ? Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER) : undefined
}
