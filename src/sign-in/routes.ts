import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { type Client, type Clients, clientOfPage } from '../clients/clients.ts'
import type { User } from '../db/user.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { refuseForeignOrigin, refuseLostCookie } from '../http/guards/origin.ts'
import { type Limits, refuseOver } from '../http/limits/limits.ts'
import { refreshCookies, sendTokens } from '../http/replies/cookies.ts'
import { requestFacts } from '../http/requests/facts.ts'
import { Audience, ClientId, Email, errors, Password, Scope, TokenReply, UserReply } from '../http/requests/schemas.ts'
import { changePassword } from './change-password.ts'
import { register } from './register.ts'
import { signIn } from './sign-in.ts'

const closed = { additionalProperties: false } as const
const RegisterBody = Type.Object({ email: Email, password: Password }, closed)
const LoginBody = Type.Object(
  {
    email: Email,
    password: Password,
    client_id: Type.Optional(ClientId),
    remember: Type.Optional(
      Type.Boolean({ description: 'Stay signed in beyond the browser’s session. Native clients always do.' }),
    ),
    audience: Type.Optional(Audience),
    scope: Type.Optional(Scope),
  },
  closed,
)
const PasswordBody = Type.Object({ current_password: Password, new_password: Password }, closed)

const DEFAULT_CLIENT = 'web'

/** Sign-up, sign-in, and one's own account. */
export const userRoutes =
  (deps: Deps, clients: Clients, limits: Pick<Limits, 'login' | 'register' | 'turnAway'>): FastifyPluginAsyncTypebox =>
  async (app) => {
    /** Before anything is counted in the database: in a flood most are turned away. */
    const expectRoom = async (request: FastifyRequest): Promise<void> => {
      try {
        deps.hasher.expectRoom()
      } catch (error) {
        await limits.turnAway(request)
        throw error
      }
    }

    app.post('/register', {
      config: { access: 'public', limit: { name: 'register', by: 'handler' } },
      schema: {
        summary: 'Make an account',
        description: 'Where registration is open. Signs nobody in.',
        body: RegisterBody,
        response: { 201: Type.Object({ user: UserReply }, closed), ...errors(400, 403, 409, 429, 503) },
      },
      handler: async (request, reply) => {
        const client = clientOfPage(clients, request.headers.origin) ?? clientNamed(clients, DEFAULT_CLIENT)
        refuseForeignOrigin(request, client)
        await expectRoom(request)
        refuseOver(await limits.register(request), deps.metrics)
        const user = await register(deps, request.body, requestFacts(request))
        return reply.code(201).send({ user: publicUser(user) })
      },
    })

    app.post('/login', {
      config: { access: 'public', limit: { name: 'login', by: 'handler' } },
      schema: {
        summary: 'Sign in',
        description: 'Every refusal of the credentials is the same answer, whatever its cause.',
        body: LoginBody,
        response: { 200: TokenReply, ...errors(400, 401, 403, 429, 503) },
      },
      handler: async (request, reply) => {
        const { client_id = DEFAULT_CLIENT, remember = false, ...rest } = request.body
        const client = clientNamed(clients, client_id)
        refuseForeignOrigin(request, client)
        if (client.delivery === 'cookie') refuseLostCookie(request, deps.config.ISSUER)
        await expectRoom(request)
        refuseOver(await limits.login(request), deps.metrics)
        // Of two cookies of one name nobody can say which the browser will overwrite.
        const [cookie, another] = client.delivery === 'cookie' ? refreshCookies(request) : []
        const replaces = another === undefined ? cookie : undefined
        const issued = await signIn(deps, { ...rest, client, remember, replaces }, requestFacts(request))
        request.noted = { userId: issued.subject.id, familyId: issued.sessionId }
        return sendTokens(reply, issued)
      },
    })

    app.get('/me', {
      config: { access: 'bearer', limit: 'account' },
      schema: { summary: 'Show one’s own account', response: { 200: UserReply, ...errors(401, 403, 429, 503) } },
      handler: async ({ principal }) => publicUser(principal.subject),
    })

    app.post('/password', {
      config: { access: 'bearer', limit: 'login' },
      schema: {
        summary: 'Change one’s own password',
        description: 'Ends every other session.',
        body: PasswordBody,
        response: { 204: Type.Null(), ...errors(400, 401, 403, 429, 503) },
      },
      handler: async (request, reply) => {
        const { current_password: currentPassword, new_password: newPassword } = request.body
        await changePassword(deps, request.principal, { currentPassword, newPassword }, requestFacts(request))
        return reply.code(204).send(null)
      },
    })
  }

function clientNamed(clients: Clients, id: string): Client {
  const client = clients.get(id)
  if (!client) throw new Problem('invalid_client')
  return client
}

function publicUser(user: Pick<User, 'id' | 'email' | 'emailVerified' | 'roles' | 'claims' | 'createdAt'>) {
  const { id, email, emailVerified, roles, claims, createdAt } = user
  return { id, email, email_verified: emailVerified, roles, claims, created_at: createdAt.toISOString() }
}
