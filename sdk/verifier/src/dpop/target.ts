import type { DpopPolicy } from './options.ts'

/**
 * The URL that a proof has to name (RFC 9449 §4.3).
 * @param url of the request: absolute, or from its path on. With an `origin`, nothing counts but the path, as the host is the
 * sender's to choose: proofs that were made for another service, with its name in `Host`, would pass here.
 * @returns undefined if the request names no path.
 * @throws TypeError if there is no telling which host is meant.
 */
export function targetOf(url: string, origin: DpopPolicy['origin']): string | undefined {
  const path = url.startsWith('/') ? url : undefined
  if (origin === undefined) {
    if (!/^https?:\/\//i.test(url)) throw new TypeError('dpop needs the whole URL of the request, or an origin')
    return normalise(url)
  }
  const pathname = path ?? (URL.canParse(url) ? new URL(url).pathname : undefined)
  // Put together as text: as a reference, "//attacker.example/" would change the host.
  const target = pathname === undefined ? undefined : normalise(origin + pathname)
  // Dot segments must not lead out of the path of the origin: behind a proxy, what lies beside it is somebody else's.
  return target?.startsWith(normalise(`${origin}/`) ?? target) ? target : undefined
}

/**
 * RFC 3986 §6.2.2 and §6.2.3: case of scheme and host, percent-encoding, default port, dot segments. Query and fragment are left
 * out.
 * @returns undefined if it is no URL of a request.
 */
export function normalise(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, username, password, host, pathname } = new URL(text)
  if ((protocol !== 'https:' && protocol !== 'http:') || username !== '' || password !== '') return undefined
  return `${protocol}//${host}${pathname.replace(/%[0-9a-f]{2}/gi, normalEscape)}`
}

/** Letters that need no escape are the same without, and proxies differ in how they pass them on. */
function normalEscape(escape: string): string {
  const letter = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(letter) ? letter : escape.toUpperCase()
}
