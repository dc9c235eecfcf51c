import type { FastifyRequest } from 'fastify'
import type { RequestFacts } from '../../facts.ts'

/** Where a request came from, for the audit trail and the session list. */
export function requestFacts(request: FastifyRequest): RequestFacts {
  return { requestId: request.id, address: request.source.address ?? null, userAgent: userAgent(request) }
}

function userAgent(request: FastifyRequest): string | null {
  return request.headers['user-agent']?.replace(/\p{Cc}/gu, '').slice(0, 256) ?? null
}
