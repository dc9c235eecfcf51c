import type { FastifyInstance } from 'fastify'
import type { Origins } from '../../config/origins.ts'
import type { KnownPaths } from './methods.ts'
import { reportOrigins } from './refused-origins.ts'

/** Headers that our endpoints read or that tracing libraries add to all requests of a page: omitting one blocks sign-in. */
const REQUEST_HEADERS =
  'content-type, authorization, idempotency-key, dpop, traceparent, tracestate, baggage, sentry-trace'
/** With what a page needs to sign the next proof: the nonce, why the last one was refused, and the right time. */
const READABLE_HEADERS = 'retry-after, ratelimit, ratelimit-policy, x-request-id, dpop-nonce, www-authenticate, date'

/**
 * Tells browsers which pages may read replies (Fetch standard, CORS protocol). Origins are compared with the list as
 * exact strings; others get no `Access-Control-*` header at all. Routes with `config.cors: 'public'` hold nothing
 * private and answer any page, without credentials; those with 'none' answer no page at all. Refused preflights are reported, because the author of the page
 * sees only that the browser blocked the request. This is not authorisation: `origin.ts` refuses what must be refused.
 * Order: after `checkTargets`, before `refuseUnknown`; a preflight is answered here and goes no further.
 * @param origins the union of all clients' origins.
 */
export function answerCors(app: FastifyInstance, paths: KnownPaths, origins: Origins): void {
  const report = reportOrigins()
  app.addHook('onRequest', (request, reply, done) => {
    const { origin } = request.headers
    const preflight =
      request.method === 'OPTIONS' &&
      origin !== undefined &&
      request.headers['access-control-request-method'] !== undefined
    const path = preflight ? paths.find(request.raw.url ?? '') : undefined

    const { cors } = path ?? request.routeOptions.config
    const open = cors === 'public'
    const allowed = cors !== 'none' && origin !== undefined && origins.has(origin)
    if (open) {
      reply.header('access-control-allow-origin', '*').header('cross-origin-resource-policy', 'cross-origin')
    } else if (allowed) {
      reply
        .header('access-control-allow-origin', origin)
        .header('access-control-allow-credentials', 'true')
        .header('access-control-expose-headers', READABLE_HEADERS)
    }
    if (!path) return done()
    if (open || allowed) {
      reply
        .header('access-control-allow-methods', [...path.methods].filter((method) => method !== 'HEAD').join(', '))
        .header('access-control-allow-headers', REQUEST_HEADERS)
        .header('access-control-max-age', '600')
        .removeHeader('access-control-expose-headers')
    } else if (cors !== 'none') {
      report(request.log, origin ?? '')
    }
    reply.code(204).send()
  })
}
