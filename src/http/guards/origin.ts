import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Origins } from '../../config/origins.ts'
import { isPlainHttp } from '../../config/rules.ts'
import { Problem, type Reason } from '../../errors.ts'

/** Who a request acts for, as far as its origin is concerned. */
interface Caller {
  /** Pages that may act for it. */
  origins: Origins
  /** Where its refresh tokens travel. */
  delivery: 'cookie' | 'body'
}

const CHANGES = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * Refuses what a page of nobody's wants to change, before anything is counted, looked up or parsed: any page can have its
 * visitor send it, and the visitor's address is not to pay for it. A page that one client has may still be the wrong one
 * for another, which the routes judge.
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
 * The defence against CSRF where the cookie is the credential: the browser says which page sent the request, and that page
 * must be allowed. Fails closed, because every browser sends `Origin` with a POST. `Sec-Fetch-Site`, where it is sent, must
 * agree (W3C Fetch Metadata): `none` and `cross-site` cannot come from a page of ours.
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
 * Where no cookie counts yet, a request without `Origin` comes from a terminal or a native app and passes; one that names a
 * page must name one of its client. `Sec-Fetch-Site` alone refuses clients with a cookie only: a web view that acts for a
 * native app is always cross-site.
 * @throws Problem `origin_not_allowed`.
 */
export function refuseForeignOrigin({ headers }: FastifyRequest, { origins, delivery }: Caller): void {
  if (headers.origin !== undefined && !origins.has(headers.origin)) refuse('Origin is not allowed')
  if (delivery === 'cookie' && headers['sec-fetch-site'] === 'cross-site') refuse('cross-site', CROSS_SITE)
}

/**
 * A sign-in of a page whose `Secure` cookie the browser would drop must not look like one that worked: nobody could use the
 * session. What is not from a page may keep the cookie as it likes.
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
