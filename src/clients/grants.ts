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
 * What a sign-in grants, or a service is given: all scopes of the client and its default audience, unless the request asks for less.
 * @throws Problem `invalid_scope` or `invalid_target` if more was asked for.
 */
export function grantFor(client: Pick<Client, 'scopes' | 'audiences'>, asked: Asked): Grant {
  const { scope, audience } = narrowing(asked)
  if (scope?.some((item) => !client.scopes.includes(item))) throw new Problem('invalid_scope')
  if (audience?.some((item) => !client.audiences.includes(item))) throw new Problem('invalid_target')
  return { scope: scope ?? [...client.scopes], audience: audience ?? client.audiences.slice(0, 1) }
}

/** The scopes and audiences that a request asks for, without duplicates; null if it does not say. */
export interface Narrowing {
  scope: string[] | null
  audience: string[] | null
}

/** @throws Problem `invalid_scope` or `invalid_target` for what cannot be a scope or an audience. */
export function narrowing(asked: Asked): Narrowing {
  const scope = asked.scope === undefined ? null : [...new Set(asked.scope.split(' '))]
  const audience = asked.audience === undefined ? null : [...new Set([asked.audience].flat())]
  if (scope?.includes('')) throw new Problem('invalid_scope')
  // Spaces must be refused, because the statement that rotates takes lists as text separated by spaces.
  if (audience?.length === 0 || audience?.some((item) => !/^[\x21-\x7e]+$/.test(item)))
    throw new Problem('invalid_target')
  return { scope, audience }
}

/**
 * What a refresh issues: what was granted at sign-in, or the part of it that the request asks for, without what the
 * operator has since taken from the client.
 * @throws Problem `invalid_scope` or `invalid_target` if the request asks for more than was granted, or nothing is left.
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
