import type { FastifyRequest } from 'fastify'
import type { RequestFacts } from '../audit/audit.ts'
import { normalAddress } from './proxies.ts'

/** Where a request came from, for the audit trail and the session list. */
export function requestFacts(request: FastifyRequest): RequestFacts {
  return { requestId: request.id, address: clientAddress(request) ?? null, userAgent: userAgent(request) }
}

/**
 * The right-most address that is not one of TRUSTED_PROXIES (Fastify computes it from that list). A proxy may hand on
 * nonsense in its place; the peer of the socket then counts, because the database and the limiter need an address.
 */
export function clientAddress(request: FastifyRequest): string | undefined {
  return normalAddress(request.ip ?? '') ?? normalAddress(request.socket.remoteAddress ?? '')
}

function userAgent(request: FastifyRequest): string | null {
  return request.headers['user-agent']?.replace(/\p{Cc}/gu, '').slice(0, 256) ?? null
}
