import { admit, answerTo } from './bearer.ts'
import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'
import { parseRequirements, type Requirements } from './requirements.ts'
import type { Verifier } from './verifier.ts'

export interface FetchOptions extends Requirements {
  /** Hears of every refusal: for a log line with `error.check`. What it throws, the handler that is returned rejects with. */
  onRefused?: (error: VerificationError, request: Request) => unknown
}

/**
 * Puts a handler of `Request` and `Response` behind a token: Bun, Deno, Hono, Workers, Next.js. What the platform passes
 * besides the request is passed on. A `VerificationError` that the handler throws is answered in the same way.
 * @throws TypeError if the requirements make no sense.
 */
export function bearerAuth<Rest extends unknown[]>(
  verify: Verifier,
  handler: (request: Request, claims: Claims, ...rest: Rest) => Response | Promise<Response>,
  { onRefused, ...requirements }: FetchOptions = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  const parsed = parseRequirements(requirements)
  return async (request, ...rest) => {
    try {
      const claims = await admit(verify, request.headers.get('authorization'), parsed)
      return await handler(request, claims, ...rest)
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error
      await onRefused?.(error, request)
      const { body, ...init } = answerTo(error)
      return new Response(body, init)
    }
  }
}
