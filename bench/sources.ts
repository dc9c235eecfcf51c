import type { Answer } from './connection.ts'
import type { Source } from './load.ts'
import type { Ring } from './ring.ts'

export type Work =
  /**
   * `apart`: as if through a proxy, each request from an address of its own. `key`: the private one (PEM) that the families are bound to.
   */
  | { kind: 'refresh'; apart?: boolean; key?: string }
  /** `emails` in turn. A 503 is believed: that caller waits as long as Retry-After says. */
  | { kind: 'login'; emails: string[]; password: string }
  | { kind: 'get'; path: string }
  /** Again and again. */
  | { kind: 'repeat'; request: string }
  /** Each family of the ring once. */
  | { kind: 'logout' }
  /** In turn, whatever is answered. No answer is right or wrong: the outcome counts them by their status. */
  | { kind: 'flood'; requests: string[] }

const faultOf = (answer: Answer | undefined): string | undefined =>
  answer?.status === 200 ? undefined : String(answer?.status ?? 'no answer')

export function post(host: string, path: string, body: string, headers = ''): string {
  return postAs('application/json', host, path, body, headers)
}

export function postForm(host: string, path: string, fields: Record<string, string>, headers = ''): string {
  return postAs('application/x-www-form-urlencoded', host, path, String(new URLSearchParams(fields)), headers)
}

function postAs(type: string, host: string, path: string, body: string, headers: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: ${type}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

export function get(host: string, path: string, headers = ''): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${headers}\r\n`
}

/** What a proxy says of a client: one of 65,536 in a network for benchmarks (RFC 2544), 198.18 or 198.19. */
export function forwardedFor(network: 18 | 19, client: number): string {
  return `x-forwarded-for: 198.${network}.${(client >> 8) & 255}.${client & 255}\r\n`
}

/** The token that a reply hands out; without the cost of parsing the rest. */
export function tokenIn(body: string): string | undefined {
  return /"refresh_token":"([^"]+)"/.exec(body)?.[1]
}

/**
 * Real token chains: each token is used once and its successor comes back into the ring, so that at most one request per
 * family is under way. A chain whose token was refused leaves the ring.
 * @param proof gives a header that proves the key of the families.
 */
export function refreshing(host: string, ring: Ring, apart = false, proof = () => ''): Source {
  let client = 0
  const headers = (): string => (apart ? forwardedFor(18, client++) : '') + proof()
  return () => {
    const token = ring.take()
    if (token === undefined) return undefined
    return {
      request: post(host, '/refresh', `{"refresh_token":"${token}"}`, headers()),
      judge: (answer) => {
        const next = answer?.status === 200 ? tokenIn(answer.body) : undefined
        if (next) ring.put(next)
        else if (answer === undefined || answer.status >= 500) ring.put(token)
        return { fault: next ? undefined : (faultOf(answer) ?? 'no token') }
      },
    }
  }
}

export function signingIn(host: string, emails: string[], password: string): Source {
  let turn = 0
  return () => ({
    request: post(
      host,
      '/login',
      JSON.stringify({ email: emails[turn++ % emails.length], password, client_id: 'native' }),
    ),
    judge: (answer) => {
      const seconds = answer?.status === 503 ? Number(/^retry-after: *(\d+)/im.exec(answer.head)?.[1] ?? 1) : 0
      // At least as long as told, and not all in step.
      return { fault: faultOf(answer), waitMs: seconds * 1000 * (1 + Math.random()) }
    },
  })
}

/** A family that has been signed out leaves the ring. */
export function signingOut(host: string, ring: Ring): Source {
  return () => {
    const token = ring.take()
    if (token === undefined) return undefined
    return {
      request: post(host, '/logout', `{"refresh_token":"${token}"}`),
      judge: (answer) => ({ fault: answer?.status === 204 ? undefined : String(answer?.status ?? 'no answer') }),
    }
  }
}

export function repeating(request: string): Source {
  const item = {
    request,
    judge: (answer: Answer | undefined) => ({ fault: faultOf(answer) }),
  }
  return () => item
}

export function flooding(requests: string[]): Source {
  let turn = 0
  return () => ({
    request: requests[turn++ % requests.length] as string,
    judge: (answer) => ({ fault: String(answer?.status ?? 'no answer') }),
  })
}
