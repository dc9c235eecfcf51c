import type { Claims } from '../claims.ts'
import type { Fetch } from '../download.ts'
import { VerificationError } from '../errors.ts'
import type { KeySource, Timing } from '../key-source.ts'
import { type ClientCredentials, createCredentials } from './credentials.ts'
import { createIntrospection } from './introspection.ts'
import { createListReader, type ListReader, MAX_LIST } from './list-reader.ts'
import { createOpener } from './open-message.ts'
import type { Policies, Policy } from './policy.ts'
import { createReceipts } from './receipts.ts'
import { createStreamReader, type StreamReader } from './stream-reader.ts'
import type { Surroundings } from './surroundings.ts'
import { createView } from './view.ts'

/** For health checks and metrics. */
export interface RevocationsStatus {
  /**
   * `off`: the verifier was made without `revocations`. `stale`: the view is older than `maxStaleness`, or there is none
   * yet. Else it is kept fresh by the stream, or by reading the list.
   */
  state: 'off' | 'streaming' | 'polling' | 'stale'
  /** How old the view is, in seconds. undefined: there is none. */
  age: number | undefined
  /** Up to where the feed is held. */
  epoch: string | undefined
  seq: number | undefined
  /** Revocations that are held. */
  entries: number
}

export interface Feed {
  /** Waits until the list has been read for the first time, but not for long. @throws VerificationError `stale`. */
  ready(): Promise<void>
  /** @returns undefined if nothing need be waited for. @throws VerificationError `revoked` or `stale`, at once or later. */
  judge(token: string, kid: string, claims: Claims, policy: Policy): Promise<void> | undefined
  status(): RevocationsStatus
  close(): void
}

interface Options extends Timing {
  issuer: string
  clockTolerance: number
  client: ClientCredentials | undefined
  source: KeySource
  policies: Policies
  fetch: Fetch
  timeoutMs: number
  onError: ((error: VerificationError) => unknown) | undefined
}

/** How often the list is read while there is no stream, in milliseconds; oftener where the view may be no older than twice that. */
const POLL_EVERY = 5000

/** Keeps a view of what the issuer has revoked from the first use on, and judges tokens by it. */
export function createFeed(options: Options): Feed {
  const { issuer, clockTolerance, client, source, policies, onError, ...rest } = options
  const policy = policies.usual
  const { monotonic, now, after, timeoutMs } = rest
  const view = createView(clockTolerance)
  const moment = () => ({ monotonic: monotonic(), wall: now() })
  const age = (): number => view.age(moment())
  const base = issuer.replace(/\/$/, '')
  const around: Surroundings = {
    ...rest,
    issuer,
    base,
    credentials: createCredentials(client, { ...rest, base }),
    view,
    open: createOpener((kid) => source.find(kid, 'feed'), view.isWithdrawn, MAX_LIST),
    moment,
    report: (what, cause) => void report(stale(`${what}: ${(cause as Error).message}`, cause)),
  }
  const introspect = client && createIntrospection(around)
  let running: { list: ListReader; stream: StreamReader; close(): void } | undefined
  let isClosed = false
  let isSettled = false

  const report = async (error: VerificationError): Promise<void> => {
    try {
      if (!isClosed) await onError?.(error)
    } catch {
      // A fault in the caller's logging must stop neither verification nor the process.
    }
  }

  const stale = (reason: string, cause?: unknown): VerificationError =>
    new VerificationError('stale', reason, { cause })
  const tooOld = (cause?: unknown): VerificationError => {
    const seconds = age() / 1000
    const known = Number.isFinite(seconds) ? `was last known ${seconds.toFixed(1)} s ago` : 'is not known'
    const asked = cause === undefined ? '' : `, and asking the issuer failed: ${(cause as Error).message}`
    return stale(`what the issuer has revoked ${known}${asked}`, cause)
  }

  /** The stream first: what is revoked while the list is being read comes over it. */
  const start = (): NonNullable<typeof running> => {
    const stream = createStreamReader({ ...around, onHeard: () => list.check() })
    const every = (): number => Math.min(POLL_EVERY, policies.least() / 2)
    const list = createListReader({ ...around, every, isStreaming: stream.isStreaming })
    const receipts = client && createReceipts({ ...around, instance: client.instance, kids: source.kids })
    const close = (): void => {
      for (const part of [stream, list, receipts]) part?.close()
    }
    return { list, stream, close }
  }

  /** Bounded, as a list may be long, and the issuer slow. */
  const settled = async (): Promise<void> => {
    if (isClosed) return
    const { list } = (running ??= start())
    let callOff = (): void => {}
    await Promise.race([list.first, new Promise<void>((resolve) => (callOff = after(timeoutMs, resolve)))])
    callOff()
    isSettled = true
  }

  const judge = (token: string, kid: string, claims: Claims, { maxStaleness, onStale }: Policy) => {
    // What is known to be revoked is revoked, however old the rest of the view is.
    if (view.revokes(claims, kid)) throw revoked()
    if (age() <= maxStaleness || onStale === 'allow') return undefined
    if (onStale === 'reject' || !introspect) throw tooOld()
    return introspect(token).then(
      (isActive) => {
        if (!isActive || view.revokes(claims, kid)) throw revoked()
      },
      (cause: unknown) => {
        throw tooOld(cause)
      },
    )
  }

  return {
    judge: (...given) => (isSettled || isClosed ? judge(...given) : settled().then(() => judge(...given))),
    ready: async () => {
      await settled()
      if (policy.onStale === 'reject' && !(age() <= policy.maxStaleness)) throw tooOld()
    },
    status: () => {
      const milliseconds = age()
      const place = view.place()
      const fresh = running?.stream.isStreaming() ? 'streaming' : 'polling'
      return {
        state: milliseconds <= policy.maxStaleness ? fresh : 'stale',
        age: Number.isFinite(milliseconds) ? milliseconds / 1000 : undefined,
        epoch: place?.epoch,
        seq: place?.seq,
        entries: view.size(),
      }
    },
    close: () => {
      isClosed = true
      running?.close()
    },
  }
}

function revoked(): VerificationError {
  return new VerificationError('revoked', 'the token was revoked')
}
