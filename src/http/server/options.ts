import type { Server } from 'node:http'
import type { FastifyError, FastifyHttpOptions, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { requestIds, securityHeaders } from '../replies/headers.ts'
import { type ProblemConfig, sendProblem, toProblem } from '../replies/problems.ts'
import { BODY_LIMIT, STRICT_VALIDATION } from '../requests/body.ts'
import { clientErrorHandler } from './client-errors.ts'

type HttpConfig = ProblemConfig & Pick<Config, 'HSTS' | 'TRUSTED_PROXIES'>

/** Slow senders are cut off within 18 s: Fastify's defaults would let them hold a connection for ever. */
export const TIMEOUTS = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 3000,
}

/**
 * The options of Fastify that the rest of this folder relies on; `app.ts` adds the logger and the timeouts. An absent
 * Host is accepted by Node and refused here, because Node would refuse it without our headers.
 */
export function httpOptions(config: HttpConfig) {
  const headers = securityHeaders(config)
  return {
    bodyLimit: BODY_LIMIT,
    requestIdHeader: false,
    genReqId: requestIds(config),
    ajv: { customOptions: STRICT_VALIDATION },
    // While the server drains, the last request of a connection is answered, instead of a 503 without our headers.
    return503OnClosing: false,
    clientErrorHandler: clientErrorHandler(config),
    // Requests whose target the router cannot read reach no hook.
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
      const problem = toProblem(error, request)
      request.log.info({ code: problem.code, status: problem.status, reason: error.code }, 'refused')
      sendProblem(problem, request, reply.headers(headers).header('x-request-id', request.id), config)
    },
    http: { requireHostHeader: false },
  } satisfies FastifyHttpOptions<Server>
}
