import { platform } from './platform.ts'

const LOOPBACK = /^(localhost|.+\.localhost|127\.[\d.]+|\[::1\])$/

/** Whoever is between here and there can read what is sent. */
const isInClear = ({ protocol, hostname }: URL): boolean =>
  protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.test(hostname))

/**
 * The origins that get the access token.
 * @throws TypeError for a resource that would get it in clear text. Where the issuer itself is reached like that, as in
 * development from a phone, there is nothing left to protect.
 */
export function trustedOrigins(issuer: string, resources: readonly string[] = []): Set<string> {
  const base = new URL(issuer)
  const trusted = new Set([base.origin])
  for (const resource of resources) {
    const url = new URL(resource)
    if (isInClear(url) && !isInClear(base))
      throw new TypeError(`resources: ${resource} is not https, and the access token must not travel in clear text`)
    trusted.add(url.origin)
  }
  if (platform.location) trusted.add(platform.location.origin)
  // The origin of every file, data: URL and sandboxed frame.
  trusted.delete('null')
  return trusted
}
