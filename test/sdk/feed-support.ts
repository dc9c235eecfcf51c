import type { ServerResponse } from 'node:http'
import { vi } from 'vitest'
import type { RevocationsStatus } from '../../sdk/verifier/src/index.ts'
import type { VerifierOptions } from '../../sdk/verifier/src/verifier.ts'
import { retiringKid, signingKid } from '../../sdk/verifier/vectors/mint.ts'
import { byIssuer, byRetiringKey, type Signer } from '../../sdk/verifier/vectors/sign.ts'
import { fakeTime, SECOND, startIssuer, type TestIssuer, verifierOf } from './verifier-support.ts'

export const LIST = '/.well-known/revocations'
export const STREAM = `${LIST}/stream`
export const RECEIPTS = `${LIST}/receipts`
export const INTROSPECTION = '/oauth/introspect'

export type Json = Record<string, unknown>
/** `sid`, `sub`, `kid` or `all`, and times where they matter. */
export type Named = Json

interface Signing {
  typ?: string
  kid?: string
  signer?: Signer
}

export interface FeedIssuer extends TestIssuer {
  epoch: string
  seq: number
  entries: Json[]
  /** Seconds since the epoch. */
  clock(): number
  /** Connections to the stream, and the `Last-Event-ID` with which each came. */
  streams: { response: ServerResponse; lastEventId: string | undefined }[]
  sign(claims: Json, signing?: Signing): string
  /** Numbers it and lists it, and tells nobody. @returns its entry. */
  list(named: Named): Json
  /** The text of an event for the stream. */
  event(entry: Json, changed?: Json, signing?: Signing): string
  heartbeat(changed?: Json, signing?: Signing): string
  /** To all streams. */
  send(text: string): void
  /** Lists it and tells it. */
  revoke(named: Named): void
  /** The document that the list is, from a place on. */
  document(since?: string): string
  listReadings(): string[]
}

/** An issuer on this machine with a feed, which lies if a test tells it to. Ends with the scope. */
export async function startFeedIssuer(): Promise<FeedIssuer> {
  const issuer = (await startIssuer()) as FeedIssuer
  const iat = (): number => Math.floor(issuer.clock())
  const statement = (revocations: Json[], changed: Json, signing: Signing = {}): string => {
    const { url: iss, epoch, seq } = issuer
    const claims = { iss, iat: iat(), epoch, seq, ttl: 2, revocations, ...changed }
    return issuer.sign(claims, { typ: 'revocations+jwt', ...signing })
  }
  Object.assign(issuer, {
    epoch: 'epoch-1',
    seq: 0,
    entries: [],
    streams: [],
    clock: () => fakeTime().around.now() / 1000,
    sign: (claims, { typ = 'revocations+jwt', kid = signingKid, signer } = {}) => {
      const by = signer ?? (kid === retiringKid ? byRetiringKey : byIssuer)
      return issuer.mint.raw(JSON.stringify({ alg: 'RS256', typ, kid }), JSON.stringify(claims), by)
    },
    list: (named) => {
      const entry = { seq: ++issuer.seq, revoked_at: iat(), expires_at: iat() + 660, ...named }
      issuer.entries.push(entry)
      return entry
    },
    event: (entry, changed = {}, signing = {}) => {
      const claims = { iss: issuer.url, iat: iat(), jti: crypto.randomUUID(), epoch: issuer.epoch, revocation: entry }
      const events = {
        'https://schemas.openid.net/secevent/caep/event-type/session-revoked': { event_timestamp: iat() },
      }
      const jws = issuer.sign({ ...claims, events, ...changed }, { typ: 'secevent+jwt', ...signing })
      return `id: ${issuer.epoch}.${String(entry.seq)}\nevent: revocation\ndata: ${jws}\n\n`
    },
    heartbeat: (changed = {}, signing = {}) =>
      `event: heartbeat\ndata: ${statement([], { after: changed.seq ?? issuer.seq, ...changed }, signing)}\n\n`,
    send: (text) => {
      for (const { response } of issuer.streams) response.write(text)
    },
    revoke: (named) => issuer.send(issuer.event(issuer.list(named))),
    document: (since) => {
      const [epoch, seq] = since?.split('.') ?? []
      const after = Number(seq)
      if (epoch !== issuer.epoch || after > issuer.seq) return statement(issuer.entries, { after: 0 })
      const segmentOf = (entry: Json): number => Math.floor(Number(entry.seq) / 256)
      const next = issuer.entries.find((entry) => Number(entry.seq) > after)
      const part = issuer.entries.filter((entry) => next && segmentOf(entry) === segmentOf(next))
      const before = issuer.entries.findLast((entry) => !next || segmentOf(entry) < segmentOf(next))
      return statement(part, { after: before?.seq ?? 0 })
    },
    listReadings: () => issuer.requests.filter((path) => path.startsWith(LIST) && /revocations($|\?)/.test(path)),
  } satisfies Partial<FeedIssuer>)

  issuer.answers.set(LIST, (request, response) => {
    const since = new URL(request.url ?? '', issuer.url).searchParams.get('since') ?? undefined
    response.writeHead(200, { 'content-type': 'application/revocations+jwt' }).end(issuer.document(since))
  })
  issuer.answers.set(STREAM, (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    const stream = { response, lastEventId: request.headers['last-event-id'] as string | undefined }
    issuer.streams.push(stream)
    response.on('close', () => void issuer.streams.splice(issuer.streams.indexOf(stream), 1))
    response.write(`retry: 1000\n: welcome\n\n${issuer.heartbeat()}`)
  })
  return issuer
}

/** A verifier that subscribes to it, with a time of its own which the issuer shares. */
export function subscriberOf(issuer: FeedIssuer, options: Partial<VerifierOptions> = {}) {
  const made = verifierOf(issuer, { revocations: {}, ...options })
  issuer.clock = () => made.around.now() / 1000
  /** A second passes, and the issuer says so. */
  const beat = async (seconds = 1): Promise<void> => {
    made.travel(seconds * SECOND)
    issuer.send(issuer.heartbeat())
    await settledAt(made.verify.revocations, ({ age = 1 }) => age < 1)
  }
  return { ...made, beat, [Symbol.dispose]: () => made.verify.close() }
}

/** One that streams, with a view of no age. */
export async function streamingFrom(issuer: FeedIssuer, options: Partial<VerifierOptions> = {}) {
  const subscriber = subscriberOf(issuer, options)
  await subscriber.verify.ready()
  await eventually(() => {
    if (issuer.streams.length === 0) throw new Error('there is no stream')
  })
  await subscriber.beat()
  await settledAt(subscriber.verify.revocations, ({ state, age }) => state === 'streaming' && age === 0)
  return subscriber
}

/** Waits until a connection that is about to end has ended, and the verifier has made another. */
export async function reconnected(issuer: FeedIssuer, { travel }: ReturnType<typeof subscriberOf>): Promise<void> {
  const count = async (wanted: number, look = (): void => {}): Promise<void> =>
    await eventually(() => {
      look()
      if (issuer.streams.length !== wanted) throw new Error(`there are ${issuer.streams.length} streams`)
    })
  await count(0)
  await count(1, () => travel(20))
}

/** Looks often, as what is waited for takes a few milliseconds, and for long, as the machine may be busy. */
export const eventually = <T>(check: () => T | Promise<T>, timeout = 5000): Promise<T> =>
  vi.waitFor(check, { timeout, interval: 5 })

/** Waits until the view is as expected. */
export async function settledAt(
  status: () => RevocationsStatus,
  isSo: (status: RevocationsStatus) => boolean,
  timeout?: number,
): Promise<void> {
  await eventually(() => {
    const now = status()
    if (!isSo(now)) throw new Error(JSON.stringify(now))
  }, timeout)
}
