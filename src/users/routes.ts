import { endpoint } from '../http/requests/endpoint.ts'
import { UserReply } from '../http/requests/schemas.ts'
import { userOf } from '../principal.ts'
import { publicUser } from './public-user.ts'

/** The user's own account. */
export function userEndpoints() {
  return {
    me: endpoint(
      {
        tags: ['Account'],
        summary: 'Who is signed in',
        description: 'As the database has the account now, not as it was when the token was issued.',
        response: { 200: { ...UserReply, description: 'The account' } },
      },
      async ({ principal }) => publicUser(userOf(principal).subject),
    ),
  }
}
