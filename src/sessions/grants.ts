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
export function narrowing(asked: Asked): { scope: string[] | null; audience: string[] | null } {
  const scope = asked.scope === undefined ? null : [...new Set(asked.scope.split(' '))]
  const audience = asked.audience === undefined ? null : [...new Set([asked.audience].flat())]
  if (scope?.includes('')) throw new Problem('invalid_scope')
  if (audience?.length === 0) throw new Problem('invalid_target')
  return { scope, audience }
}
