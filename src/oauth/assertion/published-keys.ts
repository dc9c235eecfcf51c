import type { Clock } from '../../clock.ts'
import { HOUR, MINUTE, SECOND } from '../../durations.ts'
import { Problem, type Reason } from '../../errors.ts'
import { type Fetch, FetchError } from '../../fetch.ts'
import { parseJson } from '../../json-text.ts'
import type { Log } from '../../log.ts'
import { chooseKey, usableKeys, type VerifyingKey } from './keys.ts'

/** Where keys are published: at this address, or where the metadata of this issuer says. */
export type Place = { jwksUri: string } | { issuer: string }

/**
 * The key of a header, read anew if it is not among those that are known. Undefined if there is none.
 * @throws KeysUnknown
 */
export type FindPublishedKey = (
  place: Place,
  header: { alg: string; kid: string | undefined },
) => Promise<VerifyingKey | undefined>

/**
 * Nobody can say whether a client has signed: its publisher does not answer, or there may be newer keys than those that were
 * read. The client is told when to come again.
 */
export class KeysUnknown extends Problem {
  constructor(reason: Reason, retryAfter: number, cause?: unknown) {
    super('unavailable', { reason, retryAfter, cause })
  }
}

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

/** Key sets of others, in memory. One reading of a place at a time, whoever waits for it. */
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

  const keysOf = ({ keys, readAt }: Held) => (clock().getTime() - readAt < STALE_MS ? keys : undefined)

  return async (place, header) => {
    const held = holdOf(JSON.stringify(place))
    const now = clock().getTime()
    const known = keysOf(held)
    const found = known && chooseKey(known, header)
    const mayReadAt = held.attemptedAt + (known ? BETWEEN_READINGS_MS : BETWEEN_ATTEMPTS_MS)
    const isFresh = found !== undefined && now - held.readAt < FRESH_MS
    const reads = !isFresh && (now >= mayReadAt || held.reading !== undefined)
    if (reads) await readOnce(place, held)
    const keys = keysOf(held)
    if (!keys && mayPass(held.failure))
      throw new KeysUnknown('keys of a client', BETWEEN_ATTEMPTS_MS / SECOND, held.failure)
    const key = keys && chooseKey(keys, header)
    // Whoever names a key that there is not uses up the reading of this minute. The next to come may have signed with a key that was
    // published since, and must not be held off for it.
    if (keys && !key && isMissing(keys, header) && !(reads && held.failure === undefined))
      throw new KeysUnknown('kid is not read yet', Math.ceil((held.attemptedAt + BETWEEN_READINGS_MS - now) / SECOND))
    return key
  }
}

/** Whether no key has the name that a header gives. One that does not suit it is no other after the next reading. */
function isMissing(keys: readonly VerifyingKey[], { kid }: { kid: string | undefined }): boolean {
  return kid !== undefined && keys.every((key) => key.kid !== kid)
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
