import { compactVerify, type JSONWebKeySet } from 'jose'
import type { Scheme, Schemes } from './challenges.ts'
import { type Claims, checkClaims, type Expectations } from './claims.ts'
import { checkIssuer, createLoader } from './discovery.ts'
import type { Fetch } from './download.ts'
import { createDpopJudge, type SentProof } from './dpop/judge.ts'
import {
  createDpopPolicies,
  type DpopMode,
  type DpopPolicy,
  type DpopSettings,
  type RouteDpop,
} from './dpop/options.ts'
import { restate, VerificationError } from './errors.ts'
import { readPayload } from './jws.ts'
import { createFixedKeySource, createKeySource, type Timing } from './key-source.ts'
import type { ClientCredentials } from './revocations/credentials.ts'
import { createFeed, type RevocationsStatus } from './revocations/feed.ts'
import { createPolicies, type Policy, type RevocationOptions } from './revocations/policy.ts'
import { type KnownHeaders, readHeader } from './token.ts'

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
  /**
   * Subscribes to the issuer's feed of revocations: tokens whose session, user, client or key was ended are refused within
   * about a second, not only once they have expired. Without it, nothing is fetched but keys.
   */
  revocations?: RevocationOptions
  /**
   * Takes tokens that are bound to a key of their client (RFC 9449), each with a proof for its request. Without it they are
   * refused, as they would be worth no more than unbound ones.
   */
  dpop?: DpopMode | DpopSettings
  /** This service as a client of the issuer: for `introspect`, for receipts, and for a larger share of the streams. */
  client?: ClientCredentials
  /** Known public keys, so that none are fetched: for tests, and for services that cannot reach the issuer. */
  jwks?: JSONWebKeySet
  /** Used instead of the global `fetch`: for a proxy, or if the issuer is reached under another address. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** The time, in milliseconds since the epoch. Default `Date.now`. For tests. */
  now?: () => number
  /** Called after every failed attempt to fetch the keys or the feed, for a log line or a counter. Verification goes on. */
  onRefreshError?: (error: VerificationError) => unknown
}

export interface VerifyOptions {
  /** For this token, in place of what the verifier was made with. What is left out stays as it is there. */
  revocations?: RevocationOptions | undefined
  /** The same for `dpop`. */
  dpop?: RouteDpop | undefined
  /** Of a token that came by the scheme DPoP. It is judged also where nobody has asked for `dpop`. */
  proof?: SentProof | undefined
}

export interface Verifier {
  /**
   * @param token as after `Bearer ` or `DPoP `.
   * @throws VerificationError; TypeError if the options make no sense.
   */
  (token: string, options?: VerifyOptions): Promise<Claims>
  readonly issuer: string
  /**
   * Loads the keys unless they are loaded, and the list of what was revoked. Call it before reporting that the service is
   * ready.
   * @throws VerificationError `keys`; `stale` if that is what verifications would throw.
   */
  ready(): Promise<void>
  /** How fresh the view of what was revoked is. */
  revocations(): RevocationsStatus
  /** @throws TypeError if this verifier cannot do what the options say. For those who take options for a route. */
  checkOptions(options: VerifyOptions): void
  /**
   * For those who read requests: the schemes of `Authorization` that are taken under these options.
   * @throws TypeError if DPoP is one, and no `origin` says by which URL clients reach this service.
   */
  schemes(options: VerifyOptions): readonly Scheme[]
  /** Stops renewing the keys in the background, and leaves the feed, whose connection keeps the process alive. */
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
  const { now = Date.now, jwks, maxStale = 86_400, onRefreshError: onError, client, fetch = globalFetch } = options
  const around = { ...surroundings, now, ...changed, fetch }
  const source =
    jwks === undefined
      ? createKeySource({
          ...around,
          load: createLoader(expected.issuer, around),
          maxStale: maxStale * 1000,
          onRefreshError: onError,
        })
      : createFixedKeySource(jwks)
  const { revocations: usual } = options
  const policies = usual === undefined ? undefined : createPolicies(usual, client !== undefined)
  const feed = policies && createFeed({ ...expected, ...around, client, source, policies, onError })

  const policyOf = (revocations: RevocationOptions): Policy => {
    if (!policies) throw new TypeError('revocations of a route need a verifier that was made with revocations')
    return policies.of(revocations)
  }

  const dpopOf = createDpopPolicies(options.dpop)
  const judgeProof = createDpopJudge(around)
  const known: KnownHeaders = new Map()

  const verify = async (token: string, { revocations, dpop, proof }: VerifyOptions = {}): Promise<Claims> => {
    const policy = revocations === undefined ? policies?.usual : policyOf(revocations)
    const binding = dpopOf(dpop)
    const schemes: Schemes = { used: proof?.header === undefined ? 'Bearer' : 'DPoP', taken: taken(binding) }
    try {
      const kid = readHeader(token, known)
      const found = source.find(kid)
      const { key } = found instanceof Promise ? await found : found
      let payload: Uint8Array
      try {
        ;({ payload } = await compactVerify(token, key, SIGNATURE))
      } catch {
        throw new VerificationError('signature', 'the key that the token names did not sign it')
      }
      const claims = checkClaims(readPayload(payload), expected, around.now() / 1000)
      const jkt = claims.cnf?.jkt
      if (jkt !== undefined && proof?.header !== undefined) await judgeProof(token, jkt, proof, binding ?? UNASKED)
      else if (jkt !== undefined) throw new VerificationError('dpop', 'the token is bound to a key, and has no proof')
      else if (schemes.used === 'DPoP' || binding?.mode === 'required') {
        throw new VerificationError('claim', 'the claim cnf is missing: the token is bound to no key')
      }
      const judged = policy && feed?.judge(token, kid, claims, policy)
      if (judged) await judged
      return claims
    } catch (error) {
      throw error instanceof VerificationError ? restate(error, schemes) : error
    }
  }
  return Object.assign(verify, {
    issuer: expected.issuer,
    ready: async () => {
      await source.ready()
      await feed?.ready()
    },
    revocations: () => feed?.status() ?? OFF,
    checkOptions: ({ revocations, dpop }: VerifyOptions) => {
      if (revocations !== undefined) policyOf(revocations)
      dpopOf(dpop)
    },
    schemes: ({ dpop }: VerifyOptions) => {
      const binding = dpopOf(dpop)
      if (binding && binding.origin === undefined) {
        throw new TypeError('dpop needs an origin here: what a request says of its host is its sender’s to choose')
      }
      return taken(binding)
    },
    close: () => {
      source.close()
      feed?.close()
    },
  })
}

const OFF: RevocationsStatus = { state: 'off', age: undefined, epoch: undefined, seq: undefined, entries: 0 }

/** Of a proof that was handed in where no options of `dpop` are. */
const UNASKED: Omit<DpopPolicy, 'mode'> = { maxAge: 60 }

function taken(policy: DpopPolicy | undefined): readonly Scheme[] {
  if (policy === undefined) return ['Bearer']
  return policy.mode === 'required' ? ['DPoP'] : ['Bearer', 'DPoP']
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
  checkClient(options.client)
  return { issuer, audiences: [...audiences], clockTolerance }
}

function checkClient(client: unknown): void {
  if (client === undefined) return
  const { id, secret, assertion, instance = 'x' } = (client ?? {}) as Record<string, unknown>
  const [hasSecret, hasAssertion] = [isText(secret) && assertion === undefined, typeof assertion === 'function']
  if (!isText(id) || !(hasSecret || (hasAssertion && secret === undefined))) {
    throw new TypeError('client is { id, secret } or { id, assertion }')
  }
  if (typeof instance !== 'string' || !/^[ -~]{1,100}$/.test(instance)) {
    throw new TypeError('instance is a name of 1 to 100 printable characters of ASCII')
  }
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
