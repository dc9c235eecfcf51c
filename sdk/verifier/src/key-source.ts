import type { Load } from './discovery.ts'
import { quote, VerificationError } from './errors.ts'
import { type HeldKey, type HeldKeys, importKeys } from './key-set.ts'

/** Between two requests that only unknown `kid`s have caused, in milliseconds: whoever invents them must not steer us. */
const COOLDOWN = 30_000
/** After a failed attempt: doubled each time, from the least to the most. */
const BACKOFF = { least: 1000, most: 30_000 }
/** Of the time for which keys are fresh: then new ones are fetched, while these are still good. */
const RENEW_AFTER = { least: 0.7, most: 0.85 }

export interface KeySource {
  /** @returns at once if the key is at hand. @throws VerificationError `kid` or `keys`. */
  find(kid: string): HeldKey | Promise<HeldKey>
  /** Once there are keys. @throws VerificationError `keys`. */
  ready(): Promise<void>
  close(): void
}

export interface Timing {
  /** Milliseconds from some moment on; never goes back. */
  monotonic(): number
  /** Milliseconds since the epoch. */
  now(): number
  /** Like `setTimeout`, but does not keep the process alive. @returns what calls it off. */
  after(milliseconds: number, work: () => void): () => void
}

export interface KeySourceOptions extends Timing {
  load: Load
  /** How long keys are used beyond their time while no new ones can be had, in milliseconds. */
  maxStale: number
  /** Hears of every failed attempt. */
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
 * The issuer's keys, kept warm. Verifications never wait for a renewal: it begins before the keys are too old, and while
 * it fails they go on being used, within a bound. They wait only where there is nothing to go by: at the first use, after
 * a long sleep, and for a `kid` that is not known. All that wait share one request.
 */
export function createKeySource(options: KeySourceOptions): KeySource {
  const { load, maxStale, monotonic, now, after, onRefreshError } = options
  let held: Held | undefined
  let refreshing: Promise<void> | undefined
  let failure: { cause: Error; failures: number; retryAt: number } | undefined
  let unknownAt = Number.NEGATIVE_INFINITY
  let callOff: (() => void) | undefined
  let closed = false

  /**
   * By whichever clock says more. The wall clock may be set back, and old keys would look young; the monotonic one stands
   * still while a machine sleeps, and they would too.
   */
  const ageOf = ({ at, wallAt }: Held): number => Math.max(monotonic() - at, now() - wallAt)
  const mayTry = (): boolean => !failure || monotonic() >= failure.retryAt
  const usable = (): HeldKeys | undefined => (held && ageOf(held) <= held.freshFor + maxStale ? held.keys : undefined)

  /** Never throws: what came of it shows in `held` and `failure`. */
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
      // With jitter: a fleet that lost its issuer at one moment must not come back at one moment.
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
      // A slip in somebody's logging must not stop the verification of tokens, nor the process.
    }
  }

  /** Nobody waits for it: what a clock of the caller's throws is met by whoever verifies next. */
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

  const search = async (kid: string): Promise<HeldKey> => {
    const looked = await keepUp()
    const keys = usable()
    if (!keys) throw unavailable()
    const found = keys.get(kid)
    if (found) return found
    if (!looked) {
      // One that is under way may have been answered before this key was published: it is no reason not to look again.
      if (refreshing) await refreshing
      if (!usable()?.has(kid) && mayLookFor()) await refresh()
      const renewed = usable()?.get(kid)
      if (renewed) return renewed
    }
    // Whether the issuer knows this key cannot be said while it does not answer.
    if (failure) throw unavailable()
    throw new VerificationError('kid', `the issuer publishes no key ${quote(kid)}`)
  }

  /** Waits for new keys where those at hand are too old to rely on. @returns whether it did. */
  const keepUp = async (): Promise<boolean> => {
    const age = held ? ageOf(held) : Number.POSITIVE_INFINITY
    if (held && age <= held.renewAfter) return false
    if (!refreshing && !mayTry()) return false
    const renewal = refresh()
    // Fresh still, or a first attempt has failed already: then nobody waits for another.
    if (held && (age <= held.freshFor || (failure && usable()))) return false
    await renewal
    return true
  }

  /** For an unknown `kid`. Attempts that fail have a back-off of their own. */
  const mayLookFor = (): boolean => {
    if (failure) return mayTry()
    if (monotonic() - unknownAt < COOLDOWN) return false
    unknownAt = monotonic()
    return true
  }

  return {
    find: (kid) => {
      // The usual case, without a promise: the key is at hand, and it is not yet time for others.
      const found = held && ageOf(held) <= held.renewAfter ? held.keys.get(kid) : undefined
      return found ?? search(kid)
    },
    ready: async () => {
      await keepUp()
      if (!usable()) throw unavailable()
    },
    close: () => {
      closed = true
      callOff?.()
    },
  }
}

/** Keys that are given: nothing is ever fetched. */
export function createFixedKeySource(jwks: unknown): KeySource {
  let keys: HeldKeys | undefined
  const imported = importKeys(jwks).then(
    (fit) => void (keys = fit),
    (cause: Error) => {
      throw new VerificationError('keys', `the keys that were given cannot be used: ${cause.message}`, { cause })
    },
  )
  // Whoever verifies hears of it.
  imported.catch(() => {})
  const search = async (kid: string): Promise<HeldKey> => {
    await imported
    const found = keys?.get(kid)
    if (!found) throw new VerificationError('kid', `no key ${quote(kid)} was given`)
    return found
  }
  return { find: (kid) => keys?.get(kid) ?? search(kid), ready: () => imported, close: () => {} }
}
