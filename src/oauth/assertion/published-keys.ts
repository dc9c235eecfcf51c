import type { Clock } from '../../clock.ts'
import { HOUR, MINUTE, SECOND } from '../../durations.ts'
import { Problem } from '../../errors.ts'
import { type Fetch, FetchError } from '../../fetch.ts'
import { parseJson } from '../../json-text.ts'
import type { Log } from '../../log.ts'
import { chooseKey, usableKeys, type VerifyingKey } from './keys.ts'

/** Where keys are published: at this address, or where the metadata of this issuer says. */
export type Place = { jwksUri: string } | { issuer: string }

/** The key of a header, read anew if it is not among those that are known. Undefined if there is none. */
export type FindPublishedKey = (
  place: Place,
  header: { alg: string; kid: string | undefined },
) => Promise<VerifyingKey | undefined>

/** Read anew after this, or if a header names a key that is not among them. */
const FRESH_MS = 10 * MINUTE
/** Whoever names keys that there are not must not have us ask more often. */
const BETWEEN_READINGS_MS = MINUTE
/** The same where nothing could be read yet. */
const BETWEEN_ATTEMPTS_MS = 10 * SECOND
/** An outage of the publisher is bridged so long. Longer would keep a key alive that was withdrawn. */
const STALE_MS = HOUR
const MOST_PLACES = 500

interface Held {
  keys: readonly VerifyingKey[] | undefined
  readAt: number
  attemptedAt: number
  /** Why nothing could be read, the last time. */
  failure: unknown
  reading: Promise<void> | undefined
}

/**
 * Key sets of others, in memory. One reading of a place at a time, whoever waits for it.
 * @throws Problem `unavailable` where nothing is known because the publisher does not answer.
 */
export function createPublishedKeys({ fetch, clock, log }: { fetch: Fetch; clock: Clock; log: Log }): FindPublishedKey {
  const places = new Map<string, Held>()

  const holdOf = (name: string): Held => {
    const held = places.get(name) ?? {
      keys: undefined,
      readAt: 0,
      attemptedAt: Number.NEGATIVE_INFINITY,
      failure: undefined,
      reading: undefined,
    }
    // Set again, so that the map stays ordered by use.
    places.delete(name)
    places.set(name, held)
    if (places.size > MOST_PLACES) places.delete(places.keys().next().value ?? '')
    return held
  }

  const read = async (place: Place, held: Held): Promise<void> => {
    try {
      const keys = usableKeys(await readDocument(fetch, await addressOf(fetch, place)))
      if (!keys) throw new Error('no key set')
      held.keys = keys
      held.readAt = clock().getTime()
      held.failure = undefined
    } catch (err) {
      held.failure = err
      log.warn({ err, place }, 'the keys of a client could not be read')
    }
  }

  const readOnce = (place: Place, held: Held): Promise<void> => {
    held.attemptedAt = clock().getTime()
    held.reading ??= read(place, held).finally(() => {
      held.reading = undefined
    })
    return held.reading
  }

  return async (place, header) => {
    const held = holdOf(JSON.stringify(place))
    const now = clock().getTime()
    const known = held.keys && now - held.readAt < STALE_MS ? held.keys : undefined
    const found = known && chooseKey(known, header)
    const mayRead = now - held.attemptedAt >= (known ? BETWEEN_READINGS_MS : BETWEEN_ATTEMPTS_MS)
    const isFresh = found !== undefined && now - held.readAt < FRESH_MS
    if (!isFresh && (mayRead || held.reading)) await readOnce(place, held)
    const keys = held.keys && clock().getTime() - held.readAt < STALE_MS ? held.keys : undefined
    if (!keys && mayPass(held.failure))
      throw new Problem('unavailable', { reason: 'keys of a client', retryAfter: 10, cause: held.failure })
    return keys && chooseKey(keys, header)
  }
}

/** The address of an issuer’s keys (OpenID Connect Discovery §4). The metadata has to be its own (§4.3). */
async function addressOf(fetch: Fetch, place: Place): Promise<string> {
  if ('jwksUri' in place) return place.jwksUri
  const document = await readDocument(fetch, `${place.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const { issuer, jwks_uri: address } = document as { issuer?: unknown; jwks_uri?: unknown }
  if (issuer !== place.issuer || typeof address !== 'string') throw new Error('not the metadata of this issuer')
  return address
}

async function readDocument(fetch: Fetch, url: string): Promise<object> {
  const value = parseJson(await fetch(url))
  if (typeof value !== 'object' || value === null) throw new Error('no object')
  return value
}

/** Whether it may be over the next time. Where an address leads is a matter of the registration. */
function mayPass(failure: unknown): boolean {
  if (!(failure instanceof FetchError)) return false
  return failure.fault === 'unreachable' || failure.fault === 'too slow' || /^answered (5..|429)$/.test(failure.fault)
}
