import { ownOrigin } from './platform.ts'

/** Origins on the way to which nobody reads along: by https, or on this machine. */
const PRIVATE = /^https:|^http:\/\/(([^/]+\.)?localhost|127\.[\d.]+|\[::1\])(:|$)/

/**
 * The origins that get the access token.
 * @throws TypeError for a resource that would get it in clear text. Where the issuer itself is reached like that, as in
 * development from a phone, there is nothing left to protect.
 */
export function trustedOrigins(issuer: string, resources: readonly string[] = []): Set<string> {
  const base = new URL(issuer).origin
  const trusted = new Set([base])
  for (const resource of resources) {
    const { origin } = new URL(resource)
    if (!PRIVATE.test(origin) && PRIVATE.test(base))
      throw new TypeError(`resources: ${resource} is not https: the access token would travel in clear text`)
    trusted.add(origin)
  }
  trusted.add(ownOrigin() ?? 'null')
  // The origin of every file, data: URL and sandboxed frame.
  trusted.delete('null')
  return trusted
}
