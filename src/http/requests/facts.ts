import type { FastifyRequest } from 'fastify'
import type { RequestFacts } from '../../facts.ts'
import type { Operation } from '../../operation.ts'
import { actorOf } from '../../principal.ts'

/** The operation of a request. @param now the time by which its rules decide. */
export function operationOf(request: FastifyRequest, now: Date): Operation {
  const { caller } = request
  return { now, actor: caller ? actorOf(caller) : 'anonymous', facts: factsOf(request) }
}

/** Where a request came from, for the audit trail and the session list. */
function factsOf(request: FastifyRequest): RequestFacts {
  return {
    requestId: request.id,
    address: request.source.address ?? null,
    userAgent: userAgent(request),
    acceptLanguage: request.headers['accept-language']?.slice(0, 500) ?? null,
  }
}

function userAgent(request: FastifyRequest): string | null {
  return request.headers['user-agent']?.replace(/\p{Cc}/gu, '').slice(0, 256) ?? null
}
