import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { trustedPeers } from '../guards/proxies.ts'

type HeaderConfig = Pick<Config, 'ISSUER' | 'HSTS'>

/** The headers of every reply, including errors of the parser. Replies are data: browsers must not render or frame them. */
export function securityHeaders(config: HeaderConfig): Record<string, string> {
  return {
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    // On every reply, even without Access-Control-*: a cache must not serve a reply for one origin to another.
    vary: 'Origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    ...(config.HSTS === 'on' && config.ISSUER.startsWith('https:')
      ? { 'strict-transport-security': 'max-age=63072000; includeSubDomains' }
      : {}),
  }
}

/**
 * Sets the security headers and the request id on every reply. Routes may overwrite them (`Cache-Control` of the key
 * set).
 * Order: the first hook of all, so that what later hooks refuse has the headers too.
 */
export function sendHeaders(app: FastifyInstance, config: HeaderConfig): void {
  const headers = securityHeaders(config)
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id)
    done()
  })
}

const REQUEST_ID = /^[A-Za-z0-9._-]{8,64}$/

/**
 * Makes request ids. The id of a client is ignored, because it could make two requests look like one in the log. That
 * of a trusted proxy is kept, so that its log and ours agree.
 */
export function requestIds(config: Pick<Config, 'TRUSTED_PROXIES'>): (request: IncomingMessage) => string {
  if (config.TRUSTED_PROXIES.length === 0) return () => randomUUID()
  const trusts = trustedPeers(config.TRUSTED_PROXIES)
  return (request) => {
    const sent = request.headers['x-request-id']
    return typeof sent === 'string' && REQUEST_ID.test(sent) && trusts(request.socket?.remoteAddress)
      ? sent
      : randomUUID()
  }
}
