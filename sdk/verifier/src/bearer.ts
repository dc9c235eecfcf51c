import type { Scheme } from './challenges.ts'
import type { Claims } from './claims.ts'
import type { SentProof } from './dpop/judge.ts'
import { mergeDpop, type RouteDpop } from './dpop/options.ts'
import { VerificationError } from './errors.ts'
import { type ParsedRequirements, parseRequirements, type Requirements, requireAll } from './requirements.ts'
import type { RevocationOptions } from './revocations/policy.ts'
import type { Verifier, VerifyOptions } from './verifier.ts'

/** An `Authorization` header that is longer holds no token of ours. */
const MAX_HEADER = 8192 + 16

/** What a route asks of a token, and how sure it has to be that the token was not revoked. */
export interface RouteRequirements extends Requirements {
  revocations?: RevocationOptions
  /** Whether the token has to be bound to a key, or may be. */
  dpop?: RouteDpop
}

export interface ParsedRoute {
  requirements: ParsedRequirements
  options: VerifyOptions
  schemes: readonly Scheme[]
}

/**
 * A mistake must not open a route, and must show at the start.
 * @param usual of the plugin.
 * @throws TypeError
 */
export function parseRoute(value: unknown, verify: Verifier, usual?: RouteDpop): ParsedRoute {
  const isOurs = typeof value === 'object' && value !== null && !Array.isArray(value)
  const { revocations, dpop, ...others } = (isOurs ? value : {}) as RouteRequirements
  const options = { revocations, dpop: mergeDpop(usual, dpop) }
  verify.checkOptions(options)
  return { requirements: parseRequirements(isOurs ? others : value), options, schemes: verify.schemes(options) }
}

/** What of a request says who sends it. */
export interface Credentials {
  /** The same object each time that the same request is asked about. */
  request: object
  method: string
  /** Absolute, or from its path on. */
  url: string
  /** Where there are several of a name, all of them, with commas between (RFC 9110 §5.3). */
  header(name: 'authorization' | 'dpop'): string | null | undefined
}

/**
 * Verifies the token of a request and what it grants.
 * @throws VerificationError
 */
export async function admit(
  verify: Verifier,
  request: Credentials,
  { requirements, options, schemes }: ParsedRoute,
): Promise<Claims> {
  const { used, token } = readToken(request.header('authorization'), verify.issuer, schemes)
  const proof = used === 'DPoP' ? readProof(request, schemes) : undefined
  const claims = await verify(token, { ...options, proof })
  requireAll(claims, requirements)
  return claims
}

/** RFC 6750 §2.1 and RFC 9449 §7.1, and no other place: tokens in bodies and queries end in logs. */
function readToken(
  authorization: string | null | undefined,
  realm: string,
  taken: readonly Scheme[],
): { used: Scheme; token: string } {
  const header = authorization ?? ''
  const named = /^(?:bearer|dpop)(?![^ ,])/i.exec(header)?.[0].toLowerCase()
  const used = taken.find((scheme) => scheme.toLowerCase() === named)
  // A scheme that is not taken makes no token that is bad, but none (RFC 6750 §3.1).
  if (!used) {
    throw new VerificationError('missing', `no ${taken.join(' or ')} token was sent`, {
      realm,
      schemes: { used: taken[0] ?? 'Bearer', taken },
    })
  }
  const token = header.length > MAX_HEADER ? undefined : /^[a-z]+ +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header)?.[1]
  if (token === undefined) {
    throw new VerificationError('malformed', `the Authorization header holds no ${used} token`, {
      schemes: { used, taken },
    })
  }
  return { used, token }
}

/** Without one, nothing need be verified. */
function readProof({ request, header, method, url }: Credentials, taken: readonly Scheme[]): SentProof {
  const proof = header('dpop') ?? undefined
  if (proof === undefined) {
    throw new VerificationError('dpop', 'the token came without a proof', { schemes: { used: 'DPoP', taken } })
  }
  return { header: proof, method, url, request }
}

/** Of a request of `node:http`, also under Express, which cuts `url` where it mounts a router. */
export function credentialsOf(request: {
  method?: string | undefined
  url?: string | undefined
  originalUrl?: string
  rawHeaders: string[]
}): Credentials {
  const { method = '', url = '', originalUrl = url, rawHeaders } = request
  return { request, method, url: originalUrl, header: (name) => headerOf(rawHeaders, name) }
}

/** Of several, Node keeps the first and says nothing: they are counted here. */
function headerOf(rawHeaders: string[], name: string): string | undefined {
  let found: string | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() !== name) continue
    // No token and no proof can hold the comma.
    found = found === undefined ? (rawHeaders[at + 1] ?? '') : `${found}, ${rawHeaders[at + 1]}`
  }
  return found
}

const TITLES = { 401: 'Unauthorized', 403: 'Forbidden', 503: 'Service Unavailable' }

/** All that a client is told (RFC 9457). */
export function answerTo({ status, headers }: VerificationError): {
  status: number
  headers: Record<string, string>
  body: string
} {
  return {
    status,
    headers: { ...headers, 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
    body: JSON.stringify({ title: TITLES[status], status }),
  }
}
