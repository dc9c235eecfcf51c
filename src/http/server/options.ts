import type { Server } from 'node:http'
import type { FastifyError, FastifyHttpOptions, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { requestIds, securityHeaders } from '../replies/headers.ts'
import { sendProblem, toProblem } from '../replies/problems.ts'
import { BODY_LIMIT, STRICT_VALIDATION } from '../requests/body.ts'
import { clientErrorHandler } from './client-errors.ts'

type HttpConfig = Pick<Config, 'ISSUER' | 'HSTS' | 'TRUSTED_PROXIES'>

/**
 * What Fastify must be created with so that the rest of this folder holds; `app.ts` adds logger and timeouts.
 * `http` in particular: an absent Host is ours to refuse, because Node would do it without our headers.
 */
export function httpOptions(config: HttpConfig) {
  const headers = securityHeaders(config)
  return {
    bodyLimit: BODY_LIMIT,
    requestIdHeader: false,
    genReqId: requestIds(config),
    ajv: { customOptions: STRICT_VALIDATION },
    // A reply to the last request of a connection, not a 503 without our headers, while the server drains.
    return503OnClosing: false,
    clientErrorHandler: clientErrorHandler(config),
    // Targets that the router cannot read reach no hook.
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
      const problem = toProblem(error, request)
      request.log.info({ code: problem.code, status: problem.status, reason: error.code }, 'refused')
      sendProblem(problem, request, reply.headers(headers).header('x-request-id', request.id), config)
    },
    http: { requireHostHeader: false },
  } satisfies FastifyHttpOptions<Server>
}
