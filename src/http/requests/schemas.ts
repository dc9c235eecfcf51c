import { Type } from 'typebox'

/*
 * Shared parts of request and reply schemas. Their lengths only keep absurd values away from the features, which have the
 * rules with codes of their own (e-mail addresses, passwords, scopes, audiences, clients).
 */

const closed = { additionalProperties: false } as const

export const Email = Type.String({
  minLength: 1,
  maxLength: 1024,
  description: 'At most 254 octets.',
  examples: ['ada@example.com'],
})
export const Password = Type.String({
  minLength: 1,
  maxLength: 4096,
  description: 'Up to 256 code points; compared after NFC normalisation.',
  examples: ['four quiet otters hum'],
})
/** Of a link that was mailed. */
export const LinkToken = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'From the fragment of the link in the mail.',
  examples: ['q3Zk0Yp1m8n0Vt7c2b9s4d6f8h1j3k5l7z9x1c3v5bA'],
})
export const MailedCode = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'The eight digits in the mail. Five wrong ones end the code, and not the link.',
  examples: ['04920817'],
})
export const ClientId = Type.String({
  minLength: 1,
  maxLength: 200,
  description: '`web` (default), `native`, or one that operators added.',
  examples: ['web'],
})
export const DeviceToken = Type.String({
  maxLength: 200,
  description:
    'From the reply to an earlier sign-in, kept apart from the tokens of the session: it outlives them. With it, failures of strangers do not keep the user from signing in. Browsers get it in a cookie.',
  examples: ['dt1_Q2h1cmNoIG1pY2Ug…'],
})
export const Scope = Type.String({
  maxLength: 1024,
  description: 'Space-separated scope tokens (RFC 6749 §3.3); may narrow, never widen.',
  examples: ['account'],
})
export const Audience = Type.Union(
  [
    Type.String({ minLength: 1, maxLength: 200 }),
    Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 20 }),
  ],
  {
    description: 'Audiences for the access token, out of those of the client (RFC 8707).',
    examples: ['https://api.example.com'],
  },
)
export const Id = Type.String({ format: 'uuid', examples: ['019f2b6e-6c1a-7c40-9d0e-2f6f4f1c9a55'] })
export const Time = Type.String({ format: 'date-time', examples: ['2026-11-22T09:30:00.000Z'] })
const Address = Type.String({ examples: ['ada@example.com'] })
const Roles = Type.Array(Type.String(), { examples: [['editor']] })
/** The scope that was granted. `Scope` is what may be asked for. */
const Granted = Type.String({ description: 'Space-separated.', examples: ['account'] })

/** Whether the access token is good for whoever bears it, or only with a proof of the key that it is bound to. */
export const TokenType = Type.Union([Type.Literal('Bearer'), Type.Literal('DPoP')], {
  description: '`DPoP` if the tokens are bound to a key (RFC 9449).',
  examples: ['Bearer'],
})

/** A user as token replies show them. */
const TokenUser = Type.Object({ id: Id, email: Address, email_verified: Type.Boolean(), roles: Roles }, closed)

/** A user as `/me` and `/register` show them. */
export const UserReply = Type.Object(
  {
    id: Id,
    email: Address,
    email_verified: Type.Boolean(),
    roles: Roles,
    claims: Type.Record(Type.String(), Type.Unknown(), {
      description: 'Custom claims that operators set.',
      examples: [{ plan: 'team' }],
    }),
    created_at: Time,
  },
  closed,
)

export const TokenReply = Type.Object(
  {
    access_token: Type.String({ examples: ['eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIs…'] }),
    token_type: TokenType,
    expires_in: Type.Integer({ description: 'Seconds.', examples: [600] }),
    scope: Granted,
    refresh_expires_in: Type.Integer({
      description: 'Seconds until the session ends if it is not used.',
      examples: [43_200],
    }),
    user: TokenUser,
    refresh_token: Type.Optional(
      Type.String({
        description: 'Only for clients that get it in the body; others get a cookie.',
        examples: ['rt1_Kx3v0mT9…'],
      }),
    ),
    device_token: Type.Optional(DeviceToken),
  },
  closed,
)

/** The description of a reply that hands out tokens. @param description what the tokens are. */
export const tokenReply = (description: string) => ({
  ...TokenReply,
  description,
  headers: {
    'Set-Cookie': {
      type: 'string',
      description: 'The refresh token, for clients that get it in a cookie; at a sign-in, the device token too.',
    },
  },
})

/** The description of a reply without a body that does not tell what was done. */
export const accepted = (description: string) => Type.Unsafe<undefined>({ type: 'null', description })
