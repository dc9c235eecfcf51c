import type { ProblemCode } from '../../errors.ts'

/** What a schema cannot say about an operation. */
export interface Operation {
  group: Group
  summary: string
  description?: string
  /** In words, for each success status. */
  replies: Record<number, string>
  /** Beyond those that every operation of its kind shares (`openapi.ts` adds them). */
  problems?: ProblemCode[]
  /** The refresh token is the credential: in the cookie, or in the body for native clients. */
  refreshToken?: true
  idempotencyKey?: true
}

export const groups = {
  Sessions: 'Sign in, stay signed in, sign out.',
  Account: 'What a signed-in person sees and changes. Send the access token as `Authorization: Bearer …`.',
  Keys: 'For services that verify access tokens themselves, without a call per request.',
  Health: 'For load balancers and orchestrators.',
  Description: 'This description.',
} as const

export type Group = keyof typeof groups

/** Every operation, in the order in which the page shows them. A test compares it with the routes. */
export const operations: Readonly<Record<string, Operation>> = {
  'POST /register': {
    group: 'Sessions',
    summary: 'Create an account',
    description: 'Where registration is open. It signs nobody in: go on with `/login`.',
    replies: { 201: 'The account' },
    problems: [
      'invalid_email',
      'password_too_short',
      'password_too_long',
      'password_blocked',
      'registration_closed',
      'origin_not_allowed',
      'email_taken',
      'too_many_requests',
      'overloaded',
    ],
  },
  'POST /login': {
    group: 'Sessions',
    summary: 'Sign in',
    description:
      'Starts a session. A browser (`client_id` `web`, the default) gets the refresh token in an HttpOnly cookie that scripts cannot read; a native client gets it in the body. Every wrong pair gets the same answer, whether or not the account exists.',
    replies: { 200: 'The tokens of a new session' },
    problems: [
      'invalid_client',
      'invalid_scope',
      'invalid_target',
      'invalid_credentials',
      'origin_not_allowed',
      'too_many_requests',
      'overloaded',
    ],
  },
  'POST /refresh': {
    group: 'Sessions',
    summary: 'Exchange the refresh token for new tokens',
    description:
      'Each refresh token is good for one exchange. Sending it again within a few seconds, because an answer got lost or two tabs raced, returns the same successor; with an `Idempotency-Key` that holds at any time. Sending it later means that two parties hold it, and ends the session. A browser needs no body.',
    replies: { 200: 'New tokens; the presented refresh token is spent' },
    problems: ['invalid_grant', 'invalid_scope', 'invalid_target', 'origin_not_allowed', 'too_many_requests'],
    refreshToken: true,
    idempotencyKey: true,
  },
  'POST /logout': {
    group: 'Sessions',
    summary: 'Sign out',
    description:
      'Ends the session of the refresh token and deletes the cookie. Needs no access token, and answers the same when there was nothing to end.',
    replies: { 204: 'Signed out' },
    problems: ['origin_not_allowed', 'too_many_requests'],
    refreshToken: true,
  },
  'GET /me': { group: 'Account', summary: 'Who is signed in', replies: { 200: 'The account' } },
  'POST /password': {
    group: 'Account',
    summary: 'Change the password',
    description: 'Ends every other session of the account.',
    replies: { 204: 'Changed' },
    problems: [
      'invalid_credentials',
      'password_too_short',
      'password_too_long',
      'password_blocked',
      'too_many_requests',
      'overloaded',
    ],
  },
  'GET /sessions': {
    group: 'Account',
    summary: 'List live sessions',
    replies: { 200: 'Live sessions, the one that asks included' },
  },
  'DELETE /sessions/{id}': {
    group: 'Account',
    summary: 'End one session',
    replies: { 204: 'Ended' },
    problems: ['not_found'],
  },
  'DELETE /sessions': {
    group: 'Account',
    summary: 'End all other sessions',
    description: 'With `including_current=true`, this one too.',
    replies: { 204: 'Ended' },
  },
  'GET /.well-known/jwks.json': {
    group: 'Keys',
    summary: 'Public keys',
    description:
      'A JWK Set (RFC 7517). Cache it for `max-age`; a `kid` that is not in it is worth one more fetch. Served from memory, also while the database is down.',
    replies: {
      200: 'The keys that sign, will sign, or signed tokens that still live',
      304: 'Unchanged since the `ETag` that was sent',
    },
  },
  'GET /.well-known/oauth-authorization-server': {
    group: 'Keys',
    summary: 'Server metadata',
    description: 'RFC 8414.',
    replies: { 200: 'What this server offers' },
  },
  'GET /.well-known/openid-configuration': {
    group: 'Keys',
    summary: 'Server metadata, at the OpenID address',
    replies: { 200: 'What this server offers' },
  },
  'GET /': {
    group: 'Description',
    summary: 'What this is',
    description: 'And where its metadata, its keys and, where they are on, this description and its page are.',
    replies: { 200: 'Name, issuer and addresses' },
  },
  'GET /livez': {
    group: 'Health',
    summary: 'Is the process alive',
    description: 'Asks nobody.',
    replies: { 200: 'Alive' },
  },
  'GET /readyz': {
    group: 'Health',
    summary: 'Can it serve',
    description:
      'The database answers, its schema is current, a signing key is loaded, and the server is not stopping.',
    replies: { 200: 'Ready', 503: 'Not now' },
  },
  'GET /openapi.json': { group: 'Description', summary: 'The OpenAPI description', replies: { 200: 'OpenAPI 3.1' } },
  'GET /docs': { group: 'Description', summary: 'This page', replies: { 200: 'HTML' } },
}
