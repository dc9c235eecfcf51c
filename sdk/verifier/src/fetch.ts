import { admit, answerTo, parseRoute, type RouteRequirements } from './bearer.ts'
import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'
import type { Verifier } from './verifier.ts'

export interface FetchOptions extends RouteRequirements {
  /**
   * Called at every refusal, for a log line with `error.check`. If it throws, the returned handler rejects with that
   * error.
   */
  onRefused?: (error: VerificationError, request: Request) => unknown
}

/**
 * Requires a token for a handler of `Request` and `Response`: Bun, Deno, Hono, Workers, Next.js. Further arguments of the
 * platform are passed on. A `VerificationError` thrown by the handler is answered in the same way.
 * @throws TypeError if the requirements make no sense.
 */
export function bearerAuth<Rest extends unknown[]>(
  verify: Verifier,
  handler: (request: Request, claims: Claims, ...rest: Rest) => Response | Promise<Response>,
  { onRefused, ...requirements }: FetchOptions = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  const parsed = parseRoute(requirements, verify)
  return async (request, ...rest) => {
    try {
      const { method, url, headers } = request
      const claims = await admit(verify, { request, method, url, header: (name) => headers.get(name) }, parsed)
      return await handler(request, claims, ...rest)
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error
      await onRefused?.(error, request)
      const { body, ...init } = answerTo(error)
      return new Response(body, init)
    }
  }
}
