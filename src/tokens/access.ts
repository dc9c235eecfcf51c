import type { Keyring } from '../keys/keyring.ts'
import { randomBytes } from '../random.ts'
import { type ServiceClaims, type SessionClaims, withoutReserved } from './claims.ts'

/** In bytes. Proxies and servers reject requests with more than about 8 KiB of headers, and this is only one of them. */
export const MAX_ACCESS_TOKEN = 4096

export interface AccessTokenInput {
  issuer: string
  lifetimeSeconds: number
  userId: string
  sessionId: string
  clientId: string
  scope: readonly string[]
  audience: readonly string[]
  authTime: Date
  amr: string[]
  roles: string[]
  /** Custom claims, set by operators. They never replace a claim of ours, nor add one that verifiers act on. */
  claims: Record<string, unknown>
  /** Thumbprint of the key to bind the token to, if any. */
  dpopJkt: string | null
}

export async function issueAccessToken(keyring: Keyring, now: Date, input: AccessTokenInput): Promise<string> {
  return await keyring.sign('at+jwt', claimsFor(now, input))
}

/** Length in bytes of the access token that would be issued, whatever its random parts. */
export function lengthOfAccessToken(keyring: Keyring, now: Date, input: AccessTokenInput): number {
  return keyring.lengthOf('at+jwt', claimsFor(now, input))
}

export function claimsFor(now: Date, input: AccessTokenInput): SessionClaims {
  return {
    ...withoutReserved(input.claims),
    ...commonClaims(now, { ...input, subject: input.userId }),
    sid: input.sessionId,
    scope: input.scope.join(' '),
    auth_time: Math.floor(input.authTime.getTime() / 1000),
    amr: input.amr,
    roles: input.roles,
    ...(input.dpopJkt !== null && { cnf: { jkt: input.dpopJkt } }),
  }
}

export interface ServiceTokenInput {
  issuer: string
  lifetimeSeconds: number
  clientId: string
  scope: readonly string[]
  audience: readonly string[]
  /** Thumbprint of the key to bind the token to, if any. */
  dpopJkt: string | null
}

/** The access token of a service (RFC 9068 §2.2 without what tells of a sign-in). */
export async function issueServiceToken(keyring: Keyring, now: Date, input: ServiceTokenInput): Promise<string> {
  const claims: ServiceClaims = {
    ...commonClaims(now, { ...input, subject: input.clientId }),
    ...(input.scope.length > 0 && { scope: input.scope.join(' ') }),
    ...(input.dpopJkt !== null && { cnf: { jkt: input.dpopJkt } }),
  }
  return await keyring.sign('at+jwt', claims)
}

/** @throws Error without an audience: such a token would be accepted nowhere, or everywhere. */
function commonClaims(
  now: Date,
  input: Pick<AccessTokenInput, 'issuer' | 'lifetimeSeconds' | 'clientId' | 'audience'> & { subject: string },
) {
  const iat = Math.floor(now.getTime() / 1000)
  const [only, ...others] = input.audience
  if (only === undefined) throw new Error('an access token needs an audience')
  return {
    iss: input.issuer,
    sub: input.subject,
    aud: others.length === 0 ? only : [...input.audience],
    client_id: input.clientId,
    iat,
    exp: iat + input.lifetimeSeconds,
    jti: randomBytes(16).toString('base64url'),
  }
}
