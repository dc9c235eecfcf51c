import type { Config } from '../config/config.ts'
import { lengthOfJwt } from '../keys/jwt.ts'
import { LARGEST_KEY_BITS } from '../keys/material.ts'
import { claimsFor, MAX_ACCESS_TOKEN } from '../tokens/access.ts'
import type { Client } from './clients.ts'

/** In bytes, for roles and custom claims. With less, ISSUER, audiences and scopes are too long for access tokens. */
export const ENOUGH_ROOM = 512
/** As long as every SHA-256 thumbprint in base64url. */
const THUMBPRINT = 'A'.repeat(43)
const UUID = '00000000-0000-0000-0000-000000000000'

/**
 * How many bytes of JSON the roles and custom claims of a user may take together so that every access token stays
 * within MAX_ACCESS_TOKEN, whichever client it is for, with all its scopes and audiences, and signed by the largest
 * key. Negative if the settings alone take too much.
 */
export function roomForRights(config: Pick<Config, 'ISSUER'>, clients: readonly Client[]): number {
  return Math.min(...clients.map((client) => roomBeside(config, client)))
}

function roomBeside({ ISSUER }: Pick<Config, 'ISSUER'>, { id, scopes, audiences }: Client): number {
  const now = new Date()
  const claims = claimsFor(now, {
    issuer: ISSUER,
    lifetimeSeconds: 0,
    userId: UUID,
    sessionId: UUID,
    clientId: id,
    scope: scopes,
    audience: audiences,
    authTime: now,
    amr: ['pwd'],
    roles: [],
    claims: {},
    dpopJkt: THUMBPRINT,
  })
  const left = MAX_ACCESS_TOKEN - lengthOfJwt('at+jwt', claims, LARGEST_KEY_BITS)
  return Math.floor((left * 3) / 4)
}

/** In bytes of JSON. */
export function sizeOfRights({ roles, claims }: { roles: string[]; claims: Record<string, unknown> }): number {
  return Buffer.byteLength(JSON.stringify(roles)) + Buffer.byteLength(JSON.stringify(claims))
}
