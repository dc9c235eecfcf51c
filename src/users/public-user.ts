import type { UserPrincipal } from '../principal.ts'

/** An account as its owner sees it: the shape of `UserReply`. */
export function publicUser(user: UserPrincipal['subject']) {
  const { id, email, emailVerified, roles, claims, createdAt } = user
  return { id, email, email_verified: emailVerified, roles, claims, created_at: createdAt.toISOString() }
}
