import { ClavigerError } from './errors.ts'
import type { Visit } from './types.ts'

/**
 * Prevents CSRF: requests that sign somebody in or out must come from a page of this site. Every browser sends `Origin`
 * with a POST; `Sec-Fetch-Site`, if it is sent, must agree.
 * @throws ClavigerError `origin_not_allowed`, before anything has changed.
 */
export function requireOwnPage({ headers }: Visit, site: string): void {
  const origin = headers.get('origin')
  const fetchSite = headers.get('sec-fetch-site')
  if (origin === site && (fetchSite === null || fetchSite === 'same-origin')) return
  throw new ClavigerError('origin_not_allowed', 403, `The request is not from a page of ${site}`)
}
