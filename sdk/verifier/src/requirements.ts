import type { Schemes } from './challenges.ts'
import type { Claims } from './claims.ts'
import { VerificationError } from './errors.ts'

/** What a token must grant for a route: all of it, if it is a list. */
export interface Requirements {
  scope?: string | readonly string[]
  role?: string | readonly string[]
}

/** RFC 6749 §3.3. Nothing in it needs escaping in a challenge. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * @param scope one scope.
 * @throws VerificationError `scope`, which is a 403, if the token does not grant it.
 */
export function requireScope(claims: Pick<Claims, 'scope' | 'cnf'>, scope: string): void {
  if (!SCOPE.test(scope)) throw new TypeError('a scope is one word of printable ASCII; ask for several one by one')
  if (typeof claims.scope === 'string' && claims.scope.split(' ').includes(scope)) return
  throw new VerificationError('scope', `the token does not grant the scope ${scope}`, {
    scope,
    schemes: schemesOf(claims),
  })
}

/**
 * @param role one role.
 * @throws VerificationError `role`, which is a 403, if the user does not have it.
 */
export function requireRole(claims: Pick<Claims, 'roles' | 'cnf'>, role: string): void {
  if (role === '') throw new TypeError('a role has a name')
  // It must be an array: a string that merely contains the word would pass `includes`.
  if (Array.isArray(claims.roles) && claims.roles.includes(role)) return
  throw new VerificationError('role', `the user does not have the role ${JSON.stringify(role)}`, {
    schemes: schemesOf(claims),
  })
}

/** By which the token has come: a bound one has no other. */
function schemesOf({ cnf }: Pick<Claims, 'cnf'>): Schemes {
  const used = cnf === undefined ? 'Bearer' : 'DPoP'
  return { used, taken: [used] }
}

/** @throws VerificationError `scope` or `role`. */
export function requireAll(claims: Claims, { scopes, roles }: ParsedRequirements): void {
  for (const scope of scopes) requireScope(claims, scope)
  for (const role of roles) requireRole(claims, role)
}

export interface ParsedRequirements {
  scopes: readonly string[]
  roles: readonly string[]
}

/** A mistake must not open a route: `{scopes: …}` or an empty list would require nothing. @throws TypeError */
export function parseRequirements(value: unknown = {}): ParsedRequirements {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('requirements are an object: { scope, role }')
  }
  const { scope, role, ...others } = value as Record<string, unknown>
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new TypeError(`requirements are scope and role, not ${unknown}`)
  const scopes = listOf('scope', scope)
  if (scopes.some((each) => !SCOPE.test(each))) {
    throw new TypeError('a scope is one word of printable ASCII; several are a list')
  }
  return { scopes, roles: listOf('role', role) }
}

function listOf(name: string, value: unknown): readonly string[] {
  if (value === undefined) return []
  const list: unknown = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list) || list.length === 0 || list.some((item) => typeof item !== 'string' || item === '')) {
    throw new TypeError(`${name} is a word or a list of words`)
  }
  return list as string[]
}
