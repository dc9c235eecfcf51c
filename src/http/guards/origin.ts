import type { FastifyInstance, FastifyRequest } from 'fastify'
import { listed, type Origins } from '../../config/origins.ts'
import { isPlainHttp } from '../../config/rules.ts'
import { Problem, type Reason } from '../../errors.ts'

/** The client that a request acts for, as far as its origin matters. */
interface Caller {
  /** Pages that may act for it. */
  origins: Origins
  /** How its refresh tokens travel. */
  delivery: 'cookie' | 'body'
}

const CHANGES = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * Refuses changes requested by pages of no client of ours, before anything is counted, looked up or parsed. Any page
 * can make its visitors send such requests; if they counted, it could use up the limits of its visitors' addresses.
 * Whether the page belongs to the right client is for the routes to check.
 * Order: after `refuseUnknown`, before `limitRates`.
 * @param origins the union of all clients' origins.
 */
export function refuseForeignPages(app: FastifyInstance, origins: Origins): void {
  app.addHook('onRequest', ({ method, headers: { origin } }, _reply, done) => {
    if (origin !== undefined && CHANGES.has(method) && !origins.has(origin)) refuse('Origin is not allowed')
    done()
  })
}

/**
 * Prevents CSRF where the cookie is the credential: the browser names the page that sent the request, which must be
 * allowed. A missing `Origin` is refused too, because every browser sends it with a POST. `Sec-Fetch-Site`, if it is
 * sent, must agree (W3C Fetch Metadata): `none` and `cross-site` cannot come from a page of ours.
 * @throws Problem `origin_not_allowed`, before anything has changed.
 */
export function requireOrigin(request: FastifyRequest, allowed: Origins): void {
  const { origin } = request.headers
  const site = request.headers['sec-fetch-site']
  if (origin === undefined) refuse('Origin is missing')
  if (!allowed.has(origin)) refuse('Origin is not allowed')
  if (site === 'cross-site') refuse('cross-site', CROSS_SITE)
  if (site !== undefined && site !== 'same-origin' && site !== 'same-site') refuse('Sec-Fetch-Site disagrees')
}

const CROSS_SITE =
  'The browser calls this page another site than the issuer, and keeps no cookie for it. Serve both over the same scheme under one domain, such as app.example.com and auth.example.com; in development use the host name of the issuer for both.'

/**
 * Checks the origin where no cookie is the credential. A request without `Origin` comes from a terminal or a native app
 * and passes; one with it must come from a page of its client. `Sec-Fetch-Site` counts only for clients with a cookie,
 * because the web view of a native app is always cross-site.
 * @throws Problem `origin_not_allowed`.
 */
export function refuseForeignOrigin({ headers }: FastifyRequest, { origins, delivery }: Caller): void {
  if (headers.origin !== undefined && !origins.has(headers.origin)) refuse('Origin is not allowed')
  if (delivery === 'cookie' && headers['sec-fetch-site'] === 'cross-site') refuse('cross-site', CROSS_SITE)
}

/**
 * Requires that a form was sent by a page of ours. A form needs no preflight, so any page could have its visitors send
 * one, signing them in to an account of the attacker, for example.
 * @throws Problem `origin_not_allowed`, before anything has changed.
 */
export function requireOwnPage(request: FastifyRequest, issuer: string): void {
  requireOrigin(request, listed([new URL(issuer).origin]))
  if ((request.headers['sec-fetch-site'] ?? 'same-origin') !== 'same-origin') refuse('Sec-Fetch-Site disagrees')
}

/**
 * Refuses the sign-in of a page whose browser would drop the `Secure` cookie. It would seem to succeed, but nobody
 * could use the session. Callers that are not pages may keep the cookie as they like.
 * @throws Problem `origin_not_allowed`.
 */
export function refuseLostCookie({ headers: { origin } }: FastifyRequest, issuer: string): void {
  if (origin === undefined) return
  for (const [who, url] of [
    ['the issuer is reached', issuer],
    ['this page came', origin],
  ] as const) {
    if (isPlainHttp(url))
      refuse(
        'plain http',
        `The browser keeps no cookie, because ${who} over plain http. Use https, or localhost for both.`,
      )
  }
}

function refuse(reason: Reason, detail?: string): never {
  throw new Problem('origin_not_allowed', { reason, ...(detail === undefined ? {} : { detail }) })
}
