import { type Static, type TNever, Type } from 'typebox'

/*
 * Shared pieces of request and reply schemas. Lengths here only keep absurd values away from the code behind; the rules
 * with codes of their own (e-mail addresses, passwords, scopes, audiences, clients) belong to their features.
 */

const closed = { additionalProperties: false } as const

export const Email = Type.String({ minLength: 1, maxLength: 1024, description: 'At most 254 octets.' })
export const Password = Type.String({
  minLength: 1,
  maxLength: 4096,
  description: 'Up to 256 code points; compared after NFC normalisation.',
})
export const ClientId = Type.String({
  minLength: 1,
  maxLength: 200,
  description: '`web` (default), `native`, or one that operators added.',
})
export const Scope = Type.String({
  maxLength: 1024,
  description: 'Space-separated scope tokens (RFC 6749 §3.3); may narrow, never widen.',
})
export const Audience = Type.Union(
  [
    Type.String({ minLength: 1, maxLength: 200 }),
    Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 20 }),
  ],
  { description: 'Audiences for the access token, out of those of the client (RFC 8707).' },
)
export const Id = Type.String({ format: 'uuid' })
export const Time = Type.String({ format: 'date-time' })

/** As token replies show it. */
const TokenUser = Type.Object(
  { id: Id, email: Type.String(), email_verified: Type.Boolean(), roles: Type.Array(Type.String()) },
  closed,
)

/** As `/me` and `/register` show it. */
export const UserReply = Type.Object(
  {
    id: Id,
    email: Type.String(),
    email_verified: Type.Boolean(),
    roles: Type.Array(Type.String()),
    claims: Type.Record(Type.String(), Type.Unknown(), { description: 'Custom claims that operators set.' }),
    created_at: Time,
  },
  closed,
)

export const TokenReply = Type.Object(
  {
    access_token: Type.String(),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds.' }),
    scope: Type.String(),
    refresh_expires_in: Type.Integer({ description: 'Seconds until the session ends if it is not used.' }),
    user: TokenUser,
    refresh_token: Type.Optional(
      Type.String({ description: 'Only for clients that get it in the body; others get a cookie.' }),
    ),
  },
  closed,
)
export type TokenReply = Static<typeof TokenReply>

/** RFC 9457. */
export const ProblemBody = Type.Object(
  {
    type: Type.String({ description: 'urn:claviger:problem:<code>' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable and machine-readable.' }),
    instance: Type.String({ description: 'The request id; also in X-Request-Id.' }),
    detail: Type.Optional(Type.String()),
  },
  closed,
)

const DESCRIPTIONS = {
  400: 'Malformed request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'No such thing',
  409: 'Conflict',
  413: 'Body too large',
  415: 'Not application/json',
  429: 'Too many requests; see Retry-After',
  503: 'Not available now; see Retry-After',
} as const

type ErrorStatus = keyof typeof DESCRIPTIONS

/**
 * The error replies of a route, for the API description. To the compiler they are `never`: a handler cannot return one,
 * it throws a Problem.
 */
export function errors<const S extends ErrorStatus>(...statuses: S[]): Record<S, TNever> {
  const replies = statuses.map((status) => [
    status,
    { description: DESCRIPTIONS[status], content: { 'application/problem+json': { schema: ProblemBody } } },
  ])
  return Object.fromEntries(replies) as Record<S, TNever>
}
