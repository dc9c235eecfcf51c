import type { FastifyRequest } from 'fastify'
import { Problem } from '../errors.ts'

/**
 * The defence against CSRF where the cookie is the credential: the browser says which page sent the request, and that page
 * must be allowed. Fails closed, because every browser sends `Origin` with a POST. `Sec-Fetch-Site`, where it is sent, must
 * agree (W3C Fetch Metadata): `none` and `cross-site` cannot come from a page of ours.
 * @throws Problem `origin_not_allowed`, before anything has changed.
 */
export function requireOrigin(request: FastifyRequest, allowed: ReadonlySet<string>): void {
  const { origin } = request.headers
  const site = request.headers['sec-fetch-site']
  if (origin === undefined) refuse('Origin is missing')
  if (!allowed.has(origin)) refuse('Origin is not allowed')
  if (site !== undefined && site !== 'same-origin' && site !== 'same-site') refuse('Sec-Fetch-Site disagrees')
}

/**
 * Where no cookie counts, a request without `Origin` comes from a terminal or a native app and passes. One that names a
 * page must name an allowed one; a browser that hides which page it was is refused as well.
 * @throws Problem `origin_not_allowed`.
 */
export function refuseForeignOrigin(request: FastifyRequest, allowed: ReadonlySet<string>): void {
  const { origin } = request.headers
  if (origin !== undefined && !allowed.has(origin)) refuse('Origin is not allowed')
  if (origin === undefined && request.headers['sec-fetch-site'] === 'cross-site') refuse('cross-site without Origin')
}

function refuse(reason: string): never {
  throw new Problem('origin_not_allowed', { reason })
}
