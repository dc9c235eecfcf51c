import type { Actor } from './operation.ts'

/** Whoever calls with a token of ours, by kind: a route says which kind it is for (`http/guards/access.ts`). */
export type Principal = UserPrincipal

/** Somebody who is signed in: what the database says now, not what the token said when it was issued. */
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

/** As the audit trail names them. */
export function actorOf(principal: Principal): Actor {
  switch (principal.kind) {
    case 'user':
      return `user:${principal.subject.id}`
    default:
      return principal.kind satisfies never
  }
}

/** For what needs a person and a session. @throws if somebody else calls: the route admits a kind that it does not know. */
export function userOf(principal: Principal): UserPrincipal {
  if (principal.kind !== 'user') throw new Error('the caller is no user')
  return principal
}
