import { compactVerify, type JSONWebKeySet } from 'jose'
import { type Claims, checkClaims, type Expectations } from './claims.ts'
import { checkIssuer, createLoader } from './discovery.ts'
import type { Fetch } from './download.ts'
import { VerificationError } from './errors.ts'
import { createFixedKeySource, createKeySource, type Timing } from './key-source.ts'
import { type KnownHeaders, readHeader, readPayload } from './token.ts'

export interface VerifierOptions {
  /** URL of the issuer, exactly as tokens name it. https; http on this machine. */
  issuer: string
  /** The name of this service in `aud`. If it is a list, one of them is enough. */
  audience: string | readonly string[]
  /** How far clocks may differ, in seconds: 0 to 60. Default 30. */
  clockTolerance?: number
  /**
   * How long to use keys beyond their time while the issuer cannot be reached, in seconds. Default 86400: Claviger
   * publishes keys a day before they sign and a day afterwards, so no planned rotation is missed within a day. It is also
   * how long an attacker who cuts this service off from the issuer can use a stolen key that has been withdrawn.
   */
  maxStale?: number
  /** Known public keys, so that nothing is fetched: for tests, and for services that cannot reach the issuer. */
  jwks?: JSONWebKeySet
  /** Used instead of the global `fetch`: for a proxy, or if the issuer is reached under another address. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** The time, in milliseconds since the epoch. Default `Date.now`. For tests. */
  now?: () => number
  /** Called after every failed attempt to fetch the keys, for a log line or a counter. Verification goes on. */
  onRefreshError?: (error: VerificationError) => unknown
}

export interface Verifier {
  /**
   * @param token as after `Bearer `.
   * @throws VerificationError
   */
  (token: string): Promise<Claims>
  readonly issuer: string
  /**
   * Loads the keys unless they are loaded. Call it before reporting that the service is ready.
   * @throws VerificationError `keys`.
   */
  ready(): Promise<void>
  /** Stops renewing the keys in the background, which in any case does not keep the process alive. */
  close(): void
}

export interface Surroundings extends Timing {
  timeoutMs: number
}

const surroundings: Omit<Surroundings, 'now'> = {
  monotonic: () => performance.now(),
  after: (milliseconds, work) => {
    const timer: unknown = setTimeout(work, milliseconds)
    // A number in browsers, an object in Node and Bun.
    if (typeof timer === 'object') (timer as NodeJS.Timeout).unref()
    return () => clearTimeout(timer as NodeJS.Timeout)
  },
  timeoutMs: 5000,
}

const SIGNATURE = { algorithms: ['RS256'] }

/** @param changed clocks and limits for tests, in place of the real ones. */
export function buildVerifier(options: VerifierOptions, changed: Partial<Surroundings> = {}): Verifier {
  const expected = readOptions(options)
  const { now = Date.now, jwks, maxStale = 86_400, onRefreshError } = options
  const around = { ...surroundings, now, ...changed }
  const source =
    jwks === undefined
      ? createKeySource({
          ...around,
          load: createLoader(expected.issuer, { ...around, fetch: options.fetch ?? globalFetch }),
          maxStale: maxStale * 1000,
          onRefreshError,
        })
      : createFixedKeySource(jwks)

  const known: KnownHeaders = new Map()
  const verify = async (token: string): Promise<Claims> => {
    const found = source.find(readHeader(token, known))
    const { key } = found instanceof Promise ? await found : found
    let payload: Uint8Array
    try {
      ;({ payload } = await compactVerify(token, key, SIGNATURE))
    } catch {
      throw new VerificationError('signature', 'the key that the token names did not sign it')
    }
    return checkClaims(readPayload(payload), expected, around.now() / 1000)
  }
  return Object.assign(verify, { issuer: expected.issuer, ready: source.ready, close: source.close })
}

/** Looked up at each call, so that instrumentation which replaces it later is used. */
const globalFetch: Fetch = (url, init) => fetch(url, init)

/** Refuses to create a verifier that would accept too much. @throws TypeError */
function readOptions(options: VerifierOptions): Expectations {
  const { audience, clockTolerance = 30, maxStale = 0 } = options
  const issuer = checkIssuer(options.issuer)
  const audiences = typeof audience === 'string' ? [audience] : audience
  if (
    !Array.isArray(audiences) ||
    audiences.length === 0 ||
    audiences.some((each) => typeof each !== 'string' || !each)
  ) {
    throw new TypeError(
      'audience must say what this service is called in tokens: without, it would accept those for others',
    )
  }
  if (!(clockTolerance >= 0 && clockTolerance <= 60)) throw new TypeError('clockTolerance must be 0 to 60 seconds')
  if (!(maxStale >= 0)) throw new TypeError('maxStale must be a number of seconds')
  return { issuer, audiences: [...audiences], clockTolerance }
}
