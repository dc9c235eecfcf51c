import type { Config } from '../config/config.ts'
import { Problem } from '../errors.ts'
import { etagOf, type Keyring } from '../keys/keyring.ts'
import { type Position, seconds } from './entry.ts'
import type { Held, Listed } from './held.ts'

export interface SignedDocument {
  body: Buffer
  etag: string
}

/** Numbers that are listed together. There are as many documents as segments, however a reader asks. */
const SEGMENT = 256
/** In seconds, for readers and caches. */
export const TTL = 2
const SIGN_EVERY_MS = 1000

export type FeedConfig = Pick<Config, 'ISSUER'>

/**
 * The claims of the list, with these revocations.
 * @param after of what has a larger number, none is left out up to the last of them: a reader could else take a heartbeat, or another
 * part, for all that came after its place. @throws Problem `unavailable` if nothing has been read yet.
 */
export function listClaims(
  { ISSUER }: FeedConfig,
  held: Held,
  { revocations, after }: { revocations: readonly Listed[]; after: number },
): Buffer {
  const { epoch, seq } = held.position()
  const asOf = held.asOf()
  if (!asOf) throw new Problem('unavailable', { reason: 'the feed has not been read yet', retryAfter: 1 })
  const empty = JSON.stringify({ iss: ISSUER, iat: seconds(asOf), epoch, after, seq, ttl: TTL, revocations: [] })
  const head = Buffer.from(empty.slice(0, -2))
  // Put together from texts that were made once: of tens of thousands, JSON.stringify would hold up every request.
  const commas = Math.max(0, revocations.length - 1)
  const bytes = Buffer.allocUnsafe(revocations.reduce((sum, { json }) => sum + json.length, head.length + commas + 2))
  let at = head.copy(bytes)
  for (const [index, { json }] of revocations.entries()) {
    if (index > 0) at += bytes.write(',', at, 'latin1')
    at += bytes.write(json, at, 'latin1')
  }
  bytes.write(']}', at, 'latin1')
  return bytes
}

/**
 * The list, or the part of it that a reader asks for. Each is signed once a second at most, and is the same for whoever asks:
 * readers could else order signatures without end, by spelling `since` in ten thousand ways.
 */
export function createDocuments(
  deps: { config: FeedConfig; keyring: Keyring },
  held: Held,
): (since: Position | undefined) => Promise<SignedDocument> {
  const made = new Map<string, { at: number; document: Promise<SignedDocument> }>()

  const sign = async (revocations: readonly Listed[], after: number): Promise<SignedDocument> => {
    const body = await deps.keyring.signBytes('revocations+jwt', listClaims(deps.config, held, { revocations, after }))
    return { body, etag: etagOf(body) }
  }

  return (since) => {
    const now = performance.now()
    const { epoch, seq } = held.position()
    const isKnown = since?.epoch === epoch && since.seq <= seq
    const segment = isKnown ? segmentAfter(held.listed(), since.seq) : undefined
    const after = isKnown ? beforeOf(held.listed(), segment) : 0
    const key = isKnown ? `${epoch} ${segment} ${after}` : 'everything'
    const present = made.get(key)
    if (present && now - present.at < SIGN_EVERY_MS) return present.document

    for (const [old, { at }] of made) if (now - at >= SIGN_EVERY_MS) made.delete(old)
    const all = held.listed()
    const document = sign(isKnown ? partOf(all, segment) : all, after)
    made.set(key, { at: now, document })
    // A failure is nobody's answer but of those who wait for it.
    document.catch(() => made.delete(key))
    return document
  }
}

/** The number of the first segment that has something after a number. */
function segmentAfter(listed: readonly Listed[], after: number): number | undefined {
  const first = listed[indexAfter(listed, after)]
  return first && Math.floor((first.seq - 1) / SEGMENT)
}

/** The number of the last one before a segment, or of the last one. */
function beforeOf(listed: readonly Listed[], segment: number | undefined): number {
  const first = segment === undefined ? listed.length : indexAfter(listed, segment * SEGMENT)
  return listed[first - 1]?.seq ?? 0
}

function partOf(listed: readonly Listed[], segment: number | undefined): readonly Listed[] {
  if (segment === undefined) return []
  const before = segment * SEGMENT
  return listed.slice(indexAfter(listed, before), indexAfter(listed, before + SEGMENT))
}

/** Where the first one is whose number is larger. */
function indexAfter(listed: readonly Listed[], seq: number): number {
  let [low, high] = [0, listed.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((listed[middle]?.seq ?? 0) <= seq) low = middle + 1
    else high = middle
  }
  return low
}
