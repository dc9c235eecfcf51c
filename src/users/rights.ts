import { record } from '../audit/audit.ts'
import { readClients } from '../clients/registered.ts'
import { roomForRights, sizeOfRights } from '../clients/room.ts'
import type { Config } from '../config/config.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { isReserved } from '../tokens/claims.ts'
import { withUser } from './lookup.ts'
import { writeClaims, writeRoles } from './queries.ts'

type RightsDeps = { db: Db; config: Config }

interface Rights {
  roles: string[]
  claims: Record<string, unknown>
}

const NO_RIGHTS: Rights = { roles: [], claims: {} }

/**
 * Replaces a user's roles. Access tokens that were issued before keep the old ones until they expire.
 * @param roles the new roles, or a function that makes them from the present ones while the row is locked.
 * @throws Problem not_found, invalid_request.
 */
export async function setRoles(
  deps: RightsDeps,
  operation: Operation,
  idOrEmail: string,
  roles: string[] | ((before: string[]) => string[]),
): Promise<{ before: string[]; after: string[] }> {
  return await withUser(deps, idOrEmail, async (tx, user) => {
    const before = user.roles
    const after = checkRoles(typeof roles === 'function' ? roles(before) : roles)
    checkRoom(await roomNow({ ...deps, db: tx }), { roles: after, claims: user.claims }, user)
    await replaceRoles(tx, operation, user, after)
    return { before, after }
  })
}

/** The same with roles that have been checked. The caller has locked the account. */
export async function replaceRoles(tx: Tx, operation: Operation, user: User, after: string[]): Promise<void> {
  await writeRoles(tx, user.id, after)
  const event = {
    type: 'user.roles_changed',
    outcome: 'success',
    userId: user.id,
    details: { before: user.roles, after },
  } as const
  await record(tx, operation, event)
}

/**
 * Replaces a user's custom claims, which access tokens carry from the next refresh on.
 * @throws Problem not_found, invalid_request.
 */
export async function setClaims(
  deps: RightsDeps,
  operation: Operation,
  idOrEmail: string,
  claims: Record<string, unknown>,
): Promise<void> {
  checkClaims(claims)
  await withUser(deps, idOrEmail, async (tx, user) => {
    checkRoom(await roomNow({ ...deps, db: tx }), { roles: user.roles, claims }, user)
    await writeClaims(tx, user.id, claims)
    // Only the names: values may be personal, and the trail outlives the account.
    const details = { before: Object.keys(user.claims), after: Object.keys(claims) }
    const event = { type: 'user.claims_changed', outcome: 'success', userId: user.id, details } as const
    await record(tx, operation, event)
  })
}

/** @throws Problem invalid_request. */
export function checkClaims(claims: Record<string, unknown>): void {
  const reserved = Object.keys(claims).filter(isReserved)
  if (reserved.length === 0) return
  throw new Problem('invalid_request', {
    detail: `These names have a meaning of their own in tokens: ${reserved.join(', ')}.`,
  })
}

/** Characters that backends can compare safely and that fit a comma-separated option of the CLI. */
const ROLE = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/

/** @throws Problem invalid_request. */
export function checkRoles(roles: string[]): string[] {
  if (roles.length > 50 || !roles.every((role) => ROLE.test(role))) {
    throw new Problem('invalid_request', {
      detail: 'A role has 1 to 64 letters, digits and . _ : / - ; a user has at most 50.',
    })
  }
  return [...new Set(roles)]
}

/** How many bytes of JSON roles and custom claims may take together, whichever client a token is for. */
export async function roomNow(deps: RightsDeps): Promise<number> {
  return roomForRights(deps.config, await readClients(deps))
}

/**
 * Refuses roles and claims that would make access tokens too long: every request carries one in a header, and proxies
 * reject long headers. A change that makes them shorter is always accepted.
 * @param room of roomNow.
 * @throws Problem invalid_request.
 */
export function checkRoom(room: number, rights: Rights, before: Rights = NO_RIGHTS): void {
  const size = sizeOfRights(rights)
  if (size <= room || size <= sizeOfRights(before)) return
  throw new Problem('invalid_request', {
    detail: `Roles and custom claims of a user have at most ${Math.max(0, room)} bytes of JSON together, so that an access token stays within 4096; these have ${size}.`,
  })
}
