import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'
import { type ParsedRequirements, parseRequirements, type Requirements, requireAll } from './requirements.ts'
import type { RevocationOptions } from './revocations/policy.ts'
import type { Verifier, VerifyOptions } from './verifier.ts'

/** An `Authorization` header that is longer holds no token of ours. */
const MAX_HEADER = 8192 + 16

/** What a route asks of a token, and how sure it has to be that the token was not revoked. */
export interface RouteRequirements extends Requirements {
  revocations?: RevocationOptions
}

export interface ParsedRoute {
  requirements: ParsedRequirements
  options: VerifyOptions
}

/** A mistake must not open a route, and must show at the start. @throws TypeError */
export function parseRoute(value: unknown, verify: Verifier): ParsedRoute {
  if (typeof value !== 'object' || value === null) return { requirements: parseRequirements(value), options: {} }
  const { revocations, ...others } = value as RouteRequirements
  if (revocations !== undefined) verify.checkOptions({ revocations })
  return { requirements: parseRequirements(Array.isArray(value) ? value : others), options: { revocations } }
}

/**
 * Verifies the token of a request and what it grants.
 * @param authorization the header's value.
 * @throws VerificationError
 */
export async function admit(
  verify: Verifier,
  authorization: string | null | undefined,
  { requirements, options }: ParsedRoute,
): Promise<Claims> {
  const claims = await verify(readBearer(authorization, verify.issuer), options)
  requireAll(claims, requirements)
  return claims
}

/** RFC 6750 §2.1, and no other place: tokens in bodies and queries end in logs. */
function readBearer(authorization: string | null | undefined, realm: string): string {
  const header = authorization ?? ''
  // Another scheme is no bearer token that is bad, but none (§3.1).
  if (!/^bearer(?![^ ,])/i.test(header)) {
    throw new VerificationError('missing', 'no bearer token was sent', { realm })
  }
  const token = header.length > MAX_HEADER ? undefined : /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header)?.[1]
  if (token === undefined) throw new VerificationError('malformed', 'the Authorization header holds no bearer token')
  return token
}

/** The header of a request of `node:http`. Of several, Node keeps the first and says nothing: they are counted here. */
export function authorizationOf(request: { rawHeaders: string[] }): string | undefined {
  let found: string | undefined
  const { rawHeaders } = request
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() !== 'authorization') continue
    // Joined as RFC 9110 §5.3 has it: no token can hold the comma.
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
