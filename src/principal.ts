import type { Actor } from './operation.ts'

/** The caller who holds a token of ours, by kind. Every route says which kind may call it (`http/guards/access.ts`). */
export type Principal = UserPrincipal | ServicePrincipal

/** Somebody who is signed in, as the database describes them now, not as the token did when it was issued. */
export interface UserPrincipal {
  kind: 'user'
  subject: {
    id: string
    email: string
    emailVerified: boolean
    roles: string[]
    claims: Record<string, unknown>
    createdAt: Date
  }
  sessionId: string
  clientId: string
  scope: string[]
  authTime: Date
}

/** A service client, which acts for itself. */
export interface ServicePrincipal {
  kind: 'service'
  clientId: string
  scope: string[]
}

/** The caller as the audit trail names it. */
export function actorOf(principal: Principal): Actor {
  switch (principal.kind) {
    case 'user':
      return `user:${principal.subject.id}`
    case 'service':
      return `client:${principal.clientId}`
    default:
      return principal satisfies never
  }
}

/**
 * For handlers that need a person and a session.
 * @throws if the route admits a kind of caller that its handler cannot serve.
 */
export function userOf(principal: Principal): UserPrincipal {
  if (principal.kind !== 'user') throw new Error('the caller is no user')
  return principal
}
