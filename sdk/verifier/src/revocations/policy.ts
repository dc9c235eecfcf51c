/** `500ms`, `10s`, `2m`. */
export type Duration = `${number}ms` | `${number}s` | `${number}m`

/**
 * What becomes of a good token while it cannot be told whether it was revoked: `reject` answers 503, `introspect` asks
 * the issuer about this one, `allow` lets it pass, as without the feed.
 */
export type OnStale = 'reject' | 'introspect' | 'allow'

export interface RevocationOptions {
  /** How old the view of what was revoked may be: 5 s at least. Default `10s`. */
  maxStaleness?: Duration
  /** Default `reject`. */
  onStale?: OnStale
}

export interface Policy {
  /** In milliseconds. */
  maxStaleness: number
  onStale: OnStale
}

const LEAST = 5000
const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000 }
const DEFAULT: Policy = { maxStaleness: 10_000, onStale: 'reject' }

export interface Policies {
  /** Of a verification that says nothing. */
  usual: Policy
  /** @throws TypeError */
  of(options: RevocationOptions): Policy
  /** The smallest `maxStaleness` of all that were asked for, in milliseconds. */
  least(): number
}

/** @throws TypeError */
export function createPolicies(usual: RevocationOptions, canIntrospect: boolean): Policies {
  const policy = parsePolicy(usual, canIntrospect)
  let least = policy.maxStaleness
  // Routes give the same object each time.
  const parsed = new WeakMap<RevocationOptions, Policy>()
  return {
    usual: policy,
    of: (options) => {
      let found = parsed.get(options)
      if (!found) {
        found = parsePolicy(options, canIntrospect, policy)
        parsed.set(options, found)
        least = Math.min(least, found.maxStaleness)
      }
      return found
    },
    least: () => least,
  }
}

/** @param otherwise holds where the options say nothing. @throws TypeError */
function parsePolicy(options: unknown, canIntrospect: boolean, otherwise = DEFAULT): Policy {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError('revocations is an object: { maxStaleness, onStale }')
  }
  const { maxStaleness, onStale = otherwise.onStale, ...others } = options as Record<string, unknown>
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new TypeError(`revocations are maxStaleness and onStale, not ${unknown}`)
  if (onStale !== 'reject' && onStale !== 'introspect' && onStale !== 'allow') {
    throw new TypeError('onStale is "reject", "introspect" or "allow"')
  }
  if (onStale === 'introspect' && !canIntrospect) {
    throw new TypeError('onStale: "introspect" needs client: { id, secret }, as introspection is for service clients')
  }
  return { onStale, maxStaleness: maxStaleness === undefined ? otherwise.maxStaleness : readDuration(maxStaleness) }
}

function readDuration(text: unknown): number {
  const [, digits, unit = ''] = (typeof text === 'string' && /^(\d{1,7})(ms|s|m)$/.exec(text)) || []
  const milliseconds = Number(digits) * (UNITS[unit] ?? Number.NaN)
  // Heartbeats come every two seconds. One that is late, or lost, must not make a view stale.
  if (!(milliseconds >= LEAST)) throw new TypeError('maxStaleness is a text such as "10s", and "5s" at least')
  return milliseconds
}
