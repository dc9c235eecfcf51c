import type { Workload } from '../../clients/registration.ts'
import { DAY, SECOND } from '../../durations.ts'

/** Which claim stands in the way. */
export type ClaimFault = 'iss' | 'sub' | 'aud' | 'exp' | 'nbf' | 'iat' | 'jti' | 'claims'

type Claims = Readonly<Record<string, unknown>>

interface Moment {
  /** The only audience: of several, another could be replaying it here. */
  issuer: string
  now: Date
}

/** Clocks of others run ahead a little. */
const LEEWAY_MS = 30 * SECOND
const LONGEST_OWN_MS = 300 * SECOND
const LONGEST_OF_WORKLOAD_MS = DAY
const LONGEST_JTI = 255

/** What is wrong with a JWT that a client has signed itself (RFC 7523 §3, draft-ietf-oauth-rfc7523bis). */
export function faultOfOwn(claims: Claims, clientId: string, { issuer, now }: Moment): ClaimFault | undefined {
  if (claims.iss !== clientId) return 'iss'
  if (claims.sub !== clientId) return 'sub'
  // As a text alone. A list, or the address of an endpoint, is what an attacker in the middle of several servers gets clients
  // to sign (CVE-2025-27370).
  if (claims.aud !== issuer) return 'aud'
  const { jti } = claims
  if (typeof jti !== 'string' || jti === '' || jti.length > LONGEST_JTI) return 'jti'
  return faultOfTimes(claims, now, LONGEST_OWN_MS)
}

/** What is wrong with a JWT that the issuer of a workload has signed. Texts are compared whole: no patterns, no case. */
export function faultOfWorkload(
  claims: Claims,
  registered: Pick<Workload, 'issuer' | 'subject' | 'claims'>,
  { issuer, now }: Moment,
): ClaimFault | undefined {
  if (claims.iss !== registered.issuer) return 'iss'
  if (claims.sub !== registered.subject) return 'sub'
  // Kubernetes makes a list of one.
  const audiences = [claims.aud].flat()
  if (audiences.length !== 1 || audiences[0] !== issuer) return 'aud'
  if (Object.entries(registered.claims).some(([name, value]) => !Object.hasOwn(claims, name) || claims[name] !== value))
    return 'claims'
  return faultOfTimes(claims, now, LONGEST_OF_WORKLOAD_MS)
}

function faultOfTimes({ exp, nbf, iat }: Claims, now: Date, longestMs: number): ClaimFault | undefined {
  const at = now.getTime()
  if (!isTime(exp) || exp * 1000 <= at || exp * 1000 > at + longestMs) return 'exp'
  if (nbf !== undefined && (!isTime(nbf) || nbf * 1000 > at + LEEWAY_MS)) return 'nbf'
  if (iat !== undefined && (!isTime(iat) || iat * 1000 > at + LEEWAY_MS)) return 'iat'
  return undefined
}

/** NumericDate (RFC 7519 §2), which may have a fraction. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
