import type { Load } from './discovery.ts'
import { quote, VerificationError } from './errors.ts'
import { type HeldKey, type HeldKeys, importKeys } from './key-set.ts'

/**
 * Milliseconds between two requests for unknown `kid`s: an attacker who invents them must not cause a flood of
 * requests. Messages of the feed have a budget of their own: anybody can invent a `kid` in a token, and could otherwise
 * keep the feed from a new key until its view is stale. Theirs is larger, as few can invent one there.
 */
const COOLDOWN = { token: 30_000, feed: 5000 }
/** The pause after a failed attempt, doubled each time from the least to the most. */
const BACKOFF = { least: 1000, most: 30_000 }
/** The share of their fresh time after which keys are renewed, while they are still good. */
const RENEW_AFTER = { least: 0.7, most: 0.85 }

/** Where a `kid` stands. */
type Naming = keyof typeof COOLDOWN

export interface KeySource {
  /** Returns the key at once if it is at hand. @param by default of a token. @throws VerificationError `kid` or `keys`. */
  find(kid: string, by?: Naming): HeldKey | Promise<HeldKey>
  /** Resolves once there are keys. @throws VerificationError `keys`. */
  ready(): Promise<void>
  /** Of the keys at hand. */
  kids(): string[]
  close(): void
}

export interface Timing {
  /** A monotonic clock, in milliseconds. */
  monotonic(): number
  /** Milliseconds since the epoch. */
  now(): number
  /** Like `setTimeout`, but does not keep the process alive. @returns a function that cancels it. */
  after(milliseconds: number, work: () => void): () => void
}

export interface KeySourceOptions extends Timing {
  load: Load
  /** How long keys are used beyond their time while new ones cannot be fetched, in milliseconds. */
  maxStale: number
  /** Called after every failed attempt. */
  onRefreshError?: ((error: VerificationError) => unknown) | undefined
}

interface Held {
  keys: HeldKeys
  /** When the request for them began, by both clocks. */
  at: number
  wallAt: number
  freshFor: number
  renewAfter: number
}

/**
 * Keeps the issuer's keys fresh. Verifications do not wait for a renewal, which begins before the keys are too old;
 * while it fails, the old keys are used, for a limited time. They wait only at the first use, after a long sleep, and
 * for an unknown `kid`, and then share one request.
 */
export function createKeySource(options: KeySourceOptions): KeySource {
  const { load, maxStale, monotonic, now, after, onRefreshError } = options
  let held: Held | undefined
  let refreshing: Promise<void> | undefined
  let failure: { cause: Error; failures: number; retryAt: number } | undefined
  const unknownAt = { token: Number.NEGATIVE_INFINITY, feed: Number.NEGATIVE_INFINITY }
  let callOff: (() => void) | undefined
  let closed = false

  /**
   * The age of the keys, by the clock that says more. The wall clock may be set back, and the monotonic one stands still
   * while the machine sleeps: by either alone, old keys could look fresh.
   */
  const ageOf = ({ at, wallAt }: Held): number => Math.max(monotonic() - at, now() - wallAt)
  const mayTry = (): boolean => !failure || monotonic() >= failure.retryAt
  const usable = (): HeldKeys | undefined => (held && ageOf(held) <= held.freshFor + maxStale ? held.keys : undefined)

  /** Never throws. The result is in `held` or `failure`. */
  const refresh = (): Promise<void> => (refreshing ??= attempt().finally(() => (refreshing = undefined)))

  const attempt = async (): Promise<void> => {
    const [at, wallAt] = [monotonic(), now()]
    try {
      const { keys, freshFor } = await load(held?.keys)
      const share = RENEW_AFTER.least + Math.random() * (RENEW_AFTER.most - RENEW_AFTER.least)
      held = { keys, at, wallAt, freshFor, renewAfter: freshFor * share }
      failure = undefined
      renewLater(held.renewAfter)
    } catch (cause) {
      const failures = (failure?.failures ?? 0) + 1
      // With jitter, so that a fleet that lost its issuer at one moment does not come back all at once.
      const wait = Math.min(BACKOFF.most, BACKOFF.least * 2 ** (failures - 1)) * (0.5 + Math.random() / 2)
      failure = { cause: cause as Error, failures, retryAt: monotonic() + wait }
      if (held) renewLater(wait)
      void report(unavailable())
    }
  }

  const report = async (error: VerificationError): Promise<void> => {
    try {
      await onRefreshError?.(error)
    } catch {
      // A fault in the caller's logging must stop neither verification nor the process.
    }
  }

  /** Nobody awaits this. If the caller's clock throws, the next verification will meet the error. */
  const renewLater = (milliseconds: number): void => {
    callOff?.()
    callOff = closed ? undefined : after(milliseconds, () => void refresh().catch(() => {}))
  }

  const unavailable = (): VerificationError => {
    const age = held ? `those at hand are ${Math.round(ageOf(held) / 1000)} s old` : 'there are none at hand'
    const { cause, retryAt = 0 } = failure ?? {}
    return new VerificationError('keys', `the issuer’s keys cannot be had (${cause?.message ?? 'too old'}); ${age}`, {
      retryAfter: (retryAt - monotonic()) / 1000,
      cause,
    })
  }

  const search = async (kid: string, by: Naming): Promise<HeldKey> => {
    const looked = await keepUp()
    const keys = usable()
    if (!keys) throw unavailable()
    const found = keys.get(kid)
    if (found) return found
    if (!looked) {
      // A request that is under way may have been answered before this key was published, so it is not enough.
      if (refreshing) await refreshing
      if (!usable()?.has(kid) && mayLookFor(by)) await refresh()
      const renewed = usable()?.get(kid)
      if (renewed) return renewed
    }
    // While the issuer does not answer, it is unknown whether it has this key.
    if (failure) throw unavailable()
    throw new VerificationError('kid', `the issuer publishes no key ${quote(kid)}`)
  }

  /** Waits for new keys if those at hand are too old to rely on. @returns whether it waited. */
  const keepUp = async (): Promise<boolean> => {
    const age = held ? ageOf(held) : Number.POSITIVE_INFINITY
    if (held && age <= held.renewAfter) return false
    if (!refreshing && !mayTry()) return false
    const renewal = refresh()
    // Still fresh, or a first attempt has failed: nobody waits for another then.
    if (held && (age <= held.freshFor || (failure && usable()))) return false
    await renewal
    return true
  }

  /** For an unknown `kid`. Attempts that fail have a back-off of their own. */
  const mayLookFor = (by: Naming): boolean => {
    if (failure) return mayTry()
    if (monotonic() - unknownAt[by] < COOLDOWN[by]) return false
    unknownAt[by] = monotonic()
    return true
  }

  return {
    find: (kid, by = 'token') => {
      // The usual case, without a promise: the key is at hand, and no renewal is due.
      const found = held && ageOf(held) <= held.renewAfter ? held.keys.get(kid) : undefined
      return found ?? search(kid, by)
    },
    ready: async () => {
      await keepUp()
      if (!usable()) throw unavailable()
    },
    kids: () => [...(usable()?.keys() ?? [])],
    close: () => {
      closed = true
      callOff?.()
    },
  }
}

/** A source of given keys, which fetches nothing. */
export function createFixedKeySource(jwks: unknown): KeySource {
  let keys: HeldKeys | undefined
  const imported = importKeys(jwks).then(
    (fit) => void (keys = fit),
    (cause: Error) => {
      throw new VerificationError('keys', `the keys that were given cannot be used: ${cause.message}`, { cause })
    },
  )
  // Errors are reported when a token is verified.
  imported.catch(() => {})
  const search = async (kid: string): Promise<HeldKey> => {
    await imported
    const found = keys?.get(kid)
    if (!found) throw new VerificationError('kid', `no key ${quote(kid)} was given`)
    return found
  }
  return {
    find: (kid) => keys?.get(kid) ?? search(kid),
    ready: () => imported,
    kids: () => [...(keys?.keys() ?? [])],
    close: () => {},
  }
}
