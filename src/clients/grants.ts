import { Problem } from '../errors.ts'
import type { Client } from './clients.ts'

/** What an access token may be used for, and where. */
export interface Grant {
  scope: string[]
  /** Never empty. */
  audience: string[]
}

export interface Asked {
  /** Scope tokens separated by single spaces (RFC 6749 §3.3). */
  scope?: string | undefined
  /** One audience or several (RFC 8707 §2, by name instead of URI). */
  audience?: string | string[] | undefined
}

/**
 * What a sign-in is granted: everything the client may have, and its default audience, unless less was asked for.
 * @throws Problem `invalid_scope` or `invalid_target` if more was asked for.
 */
export function grantFor(client: Client, asked: Asked): Grant {
  const { scope, audience } = narrowing(asked)
  if (scope?.some((item) => !client.scopes.includes(item))) throw new Problem('invalid_scope')
  if (audience?.some((item) => !client.audiences.includes(item))) throw new Problem('invalid_target')
  return { scope: scope ?? [...client.scopes], audience: audience ?? client.audiences.slice(0, 1) }
}

/** What was asked for, as sets; null where nothing was. */
export interface Narrowing {
  scope: string[] | null
  audience: string[] | null
}

/** @throws Problem `invalid_scope` or `invalid_target` for what cannot be a scope or an audience. */
export function narrowing(asked: Asked): Narrowing {
  const scope = asked.scope === undefined ? null : [...new Set(asked.scope.split(' '))]
  const audience = asked.audience === undefined ? null : [...new Set([asked.audience].flat())]
  if (scope?.includes('')) throw new Problem('invalid_scope')
  // None has a space, and the statement that rotates is given lists as texts with spaces between.
  if (audience?.length === 0 || audience?.some((item) => !/^[\x21-\x7e]+$/.test(item)))
    throw new Problem('invalid_target')
  return { scope, audience }
}

/**
 * What a refresh issues: what was granted at the sign-in or, of that, what was asked for; less what the operator has taken
 * from the client since.
 * @throws Problem `invalid_scope` or `invalid_target` if more was asked for than was granted, or nothing is left.
 */
export function grantNow(client: Client, granted: Grant, { scope, audience }: Narrowing): Grant {
  const part = (
    of: string[],
    asked: string[] | null,
    allowed: readonly string[],
    code: 'invalid_scope' | 'invalid_target',
  ) => {
    if (asked?.some((item) => !of.includes(item))) throw new Problem(code)
    const left = (asked ?? of).filter((item) => allowed.includes(item))
    if (left.length === 0) throw new Problem(code, { reason: 'nothing is left of what was granted' })
    return left
  }
  return {
    scope: part(granted.scope, scope, client.scopes, 'invalid_scope'),
    audience: part(granted.audience, audience, client.audiences, 'invalid_target'),
  }
}
