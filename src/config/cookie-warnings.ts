import { isIP } from 'node:net'
import type { Config } from './config.ts'
import { isLoopback } from './networks.ts'

/**
 * Warns of settings under which browsers drop the cookie, or share it with another server. Signing in seems to work, but
 * the session is gone at the next reload.
 */
export function cookieWarnings({ ISSUER, ALLOWED_ORIGINS }: Pick<Config, 'ISSUER' | 'ALLOWED_ORIGINS'>): string[] {
  const found: string[] = []
  const issuer = new URL(ISSUER)
  const local = isLoopback(issuer.hostname)
  if (issuer.protocol === 'http:' && !local) {
    found.push(
      'ISSUER is plain http on a host that is not localhost: browsers keep no Secure cookie there, so pages lose their session at the next reload',
    )
  }
  // A server with the default port is the first on its machine, and mostly the only one: it does not warn.
  if (local && issuer.port !== '3000') {
    found.push(
      'ISSUER is on localhost, where ports do not separate cookies: another Claviger there shares the cookie with this one, and a sign-in at either ends that at the other. A name of its own, such as http://two.localhost:3001, keeps them apart',
    )
  }
  for (const [index, origin] of ALLOWED_ORIGINS.entries()) {
    if (isAnotherSite(new URL(origin), issuer)) {
      found.push(
        `ALLOWED_ORIGINS item ${index + 1} is on another site than ISSUER: browsers keep the cookie back from it, so the web client cannot sign in there`,
      )
    }
  }
  return found
}

/** True only if it is certain: telling sites under the same suffix apart (co.uk) would take the public suffix list. */
function isAnotherSite(one: URL, other: URL): boolean {
  if (one.protocol !== other.protocol) return true
  if (one.hostname === other.hostname) return false
  const hosts = [one.hostname, other.hostname]
  if (hosts.some((host) => host.startsWith('[') || isIP(host) !== 0)) return true
  const [ends, otherEnds] = hosts.map((host) => host.split('.').slice(-2).join('.'))
  return ends !== otherEnds && !hosts.every((host) => isLoopback(host))
}
