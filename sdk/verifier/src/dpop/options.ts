/** `required`: only tokens that are bound to a key, each with its proof. `accepted`: these, and unbound ones as `Bearer`. */
export type DpopMode = 'required' | 'accepted'

export interface DpopSettings {
  mode: DpopMode
  /**
   * Scheme, host and port by which clients reach this service, such as `https://api.example.com`; with a path, if a proxy takes
   * that away. The `htu` of proofs is compared with it. The plugins need it: what a request says of its host is its sender's to
   * choose.
   */
  origin?: string
  /**
   * The memory of several processes: whether this was called with the same key before, which it remembers from now on, in one
   * step. Until then, in milliseconds since the epoch, it must not forget it. The key is 43 letters of base64url. If it fails or
   * takes five seconds, the answer is 503. Default: a memory of this verifier.
   */
  isReplay?: (key: string, keepUntilMs: number) => boolean | Promise<boolean>
  /** By how many seconds the time of a proof may differ from ours: 1 to 300. Default 60. */
  maxAge?: number
}

/** What is left out stays as it is in the verifier. */
export type RouteDpop = DpopMode | Partial<DpopSettings>

export interface DpopPolicy {
  mode: DpopMode
  /** Without a slash at its end. */
  origin?: string | undefined
  isReplay?: DpopSettings['isReplay'] | undefined
  /** In seconds. */
  maxAge: number
}

/** @returns undefined where nobody has asked for DPoP. @throws TypeError */
export type DpopPolicies = (options: RouteDpop | undefined) => DpopPolicy | undefined

/** @param usual of the verifier. @throws TypeError */
export function createDpopPolicies(usual: DpopMode | DpopSettings | undefined): DpopPolicies {
  const policy = usual === undefined ? undefined : parse(settingsOf(usual))
  // Routes give the same object each time.
  const parsed = new WeakMap<object, DpopPolicy>()
  return (options) => {
    if (options === undefined) return policy
    const known = typeof options === 'object' && options !== null ? parsed.get(options) : undefined
    if (known) return known
    const found = parse({ ...policy, ...settingsOf(options) })
    if (typeof options === 'object') parsed.set(options, found)
    return found
  }
}

/** What the route says goes before what its plugin says. */
export function mergeDpop(plugin: RouteDpop | undefined, route: RouteDpop | undefined): RouteDpop | undefined {
  if (plugin === undefined || route === undefined) return route ?? plugin
  return { ...settingsOf(plugin), ...settingsOf(route) }
}

/** @throws TypeError */
function settingsOf(options: unknown): Record<string, unknown> {
  if (typeof options === 'string') return { mode: options }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError('dpop is "required", "accepted" or { mode, origin, isReplay, maxAge }')
  }
  // Else what a route names, but leaves undefined, would take the verifier's memory or origin away.
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** @throws TypeError */
function parse({ mode, origin, isReplay, maxAge = 60, ...others }: Record<string, unknown>): DpopPolicy {
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new TypeError(`dpop has mode, origin, isReplay and maxAge, not ${unknown}`)
  if (mode !== 'required' && mode !== 'accepted') throw new TypeError('the mode of dpop is "required" or "accepted"')
  if (isReplay !== undefined && typeof isReplay !== 'function') throw new TypeError('isReplay is a function')
  if (typeof maxAge !== 'number' || !(maxAge >= 1 && maxAge <= 300)) {
    throw new TypeError('maxAge of dpop is 1 to 300 seconds')
  }
  return { mode, maxAge, isReplay: isReplay as DpopPolicy['isReplay'], origin: readOrigin(origin) }
}

function readOrigin(origin: unknown): string | undefined {
  if (origin === undefined) return undefined
  const url = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin) : undefined
  const plain = url && url.username === '' && url.password === '' && !/[?#]/.test(url.href)
  if (!plain || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new TypeError('origin of dpop is a URL such as "https://api.example.com"')
  }
  return url.href.replace(/\/$/, '')
}
