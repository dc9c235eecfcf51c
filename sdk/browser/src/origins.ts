import { platform } from './platform.ts'

/** Origins on the way to which nobody reads along: by https, or on this machine. */
const PRIVATE = /^https:|^http:\/\/(.+\.)?(localhost|127[\d.]+|\[::1])(:|$)/

/**
 * The origins that get the access token.
 * @throws TypeError for a resource that would get it in clear text. Where the issuer itself is reached like that, as in
 * development from a phone, there is nothing left to protect.
 */
export function trustedOrigins(issuer: string, resources: readonly string[] = []): Set<string | undefined> {
  const trusted = new Set<string | undefined>([issuer, platform.origin])
  for (const resource of resources) {
    const { origin } = new URL(resource)
    if (!PRIVATE.test(origin) && PRIVATE.test(issuer)) throw new TypeError(`resources: ${resource} is clear text`)
    trusted.add(origin)
  }
  // The origin of every file, data: URL and sandboxed frame.
  trusted.delete('null')
  return trusted
}
