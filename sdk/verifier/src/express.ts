import type { IncomingMessage, ServerResponse } from 'node:http'
import { admit, answerTo, credentialsOf, parseRoute, type RouteRequirements } from './bearer.ts'
import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'
import type { Verifier } from './verifier.ts'

declare global {
  namespace Express {
    interface Request {
      /** Of the token, once `bearerAuth` has let the request through; before that, undefined. */
      claims: Claims
    }
  }
}

export interface ExpressOptions extends RouteRequirements {
  /**
   * Called at every refusal, for a log line with `error.check`. If it throws, the error goes to `next` instead of the
   * refusal.
   */
  onRefused?: (error: VerificationError, request: IncomingMessage) => unknown
}

/** Middleware of Express and Connect. */
export type Middleware = (
  request: IncomingMessage & { claims?: Claims },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Admits requests with a good token, with its claims as `request.claims`. Answers the others itself, so that no error
 * handler tells a client more than it should know.
 * @throws TypeError if the requirements make no sense.
 */
export function bearerAuth(verify: Verifier, { onRefused, ...requirements }: ExpressOptions = {}): Middleware {
  const parsed = parseRoute(requirements, verify)
  return (request, response, next) => {
    const refuse = async (error: unknown): Promise<void> => {
      if (!(error instanceof VerificationError)) throw error
      await onRefused?.(error, request)
      const { status, headers, body } = answerTo(error)
      response.writeHead(status, headers).end(body)
    }
    admit(verify, credentialsOf(request), parsed)
      .then((claims) => {
        request.claims = claims
        next()
      }, refuse)
      // An unhandled rejection would end the process.
      .catch(next)
  }
}
