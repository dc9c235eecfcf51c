import { ClavigerError, cookieBlocked } from './errors.ts'
import { platform } from './platform.ts'

/**
 * What two URLs of one site have in common at least. What else it takes, only the list of public suffixes knows: that
 * `a.co.uk` and `b.co.uk` are two sites is found out by the first refresh.
 */
export function siteOf(url: string): string {
  const { protocol, hostname } = new URL(url)
  // The last two labels, if there are two and the last is more than a number, as that of an address is.
  return protocol + (/[^.]+\.[^.]*[^.\d][^.]*$/.exec(hostname)?.[0] ?? hostname)
}

/** @returns why a session cannot be kept here, as far as it can be known before a sign-in; undefined: nothing speaks against. */
export function findObstacle(issuer: string): ClavigerError | undefined {
  const { document, location, navigator, origin, isSecureContext } = platform
  if (!document) {
    return new ClavigerError('no_storage', 0, 'Neither a page nor a `storage` here')
  }
  const isElsewhere = (other: string) => other === 'null' || siteOf(other) !== siteOf(issuer)
  // Pages of extensions may frame what they like, and some browsers hide who frames.
  const frames = [...(location?.ancestorOrigins ?? [])].filter((each) => each.startsWith('http'))
  const blocked =
    isSecureContext === false || navigator?.cookieEnabled === false || (origin && [origin, ...frames].some(isElsewhere))
  return blocked ? cookieBlocked(issuer) : undefined
}
