import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'
import { type ParsedRequirements, requireAll } from './requirements.ts'
import type { Verifier } from './verifier.ts'

/** An `Authorization` header that is longer holds no token of ours. */
const MAX_HEADER = 8192 + 16

/**
 * Verifies the token of a request and what it grants.
 * @param authorization the header's value.
 * @throws VerificationError
 */
export async function admit(
  verify: Verifier,
  authorization: string | null | undefined,
  requirements: ParsedRequirements,
): Promise<Claims> {
  const claims = await verify(readBearer(authorization, verify.issuer))
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
