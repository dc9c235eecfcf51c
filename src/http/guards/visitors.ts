import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Problem } from '../../errors.ts'
import { authorizationOf } from '../requests/authorization.ts'
import { normalAddress } from './proxies.ts'

const HEADER = 'claviger-visitor-address'

/** @returns the id of the client that a request comes from. @throws Problem if that is not proved, or it may state none. */
export type ProveClient = (request: FastifyRequest) => Promise<string>

/**
 * Replaces the address of a request by that of the visitor for whom a site calls from its server. All visitors of a site
 * would else share its limits, and one who guesses would lock out the others.
 *
 * Whoever chooses the address evades every limit of addresses, so the site proves itself with each request, and nothing is
 * ignored: a site whose secret is wrong would else seem to work until its visitors had used up one address's limits. A
 * statement without a proof is refused too. Endpoints that take an access token in the same header have no room for a
 * proof and keep the address of the connection.
 * Order: after `refuseForeignPages`, before `limitRates`.
 */
export function believeVisitors(app: FastifyInstance, prove: ProveClient): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.headers[HEADER] === undefined || request.is404) return done()
    readVisitor(request, prove).then((source) => {
      request.source = { ...request.source, ...source, statedFrom: request.source.address }
      done()
    }, done)
  })
}

async function readVisitor(
  request: FastifyRequest,
  prove: ProveClient,
): Promise<{ address: string; statedBy: string }> {
  // Judged first: nothing is looked up for it.
  const address = addressIn(String(request.headers[HEADER]))
  if (address === undefined) refuse('Claviger-Visitor-Address is not one IP address.')
  const { access } = request.routeOptions.config
  const isProved = /^basic /i.test(authorizationOf(request) ?? '')
  if (!isProved || (access !== 'public' && access !== 'optional'))
    refuse('Claviger-Visitor-Address is taken from a service client alone that proves itself by Authorization: Basic.')
  try {
    return { address, statedBy: await prove(request) }
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'invalid_client') throw error
    throw new Problem('invalid_client', { unproven: true, ...(error.reason ? { reason: error.reason } : {}) })
  }
}

/** Stricter than `X-Forwarded-For` is read: no port, no zone, which means nothing on another host, and no list. */
function addressIn(text: string): string | undefined {
  return isIP(text) !== 0 && !text.includes('%') ? normalAddress(text) : undefined
}

function refuse(detail: string): never {
  throw new Problem('invalid_request', { detail })
}
