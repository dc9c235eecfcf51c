import { Type } from 'typebox'
import { browserClientBehind, clientBehind, clientNamed } from '../clients/choose.ts'
import type { Clients } from '../clients/clients.ts'
import { Problem } from '../errors.ts'
import { refuseForeignOrigin, refuseLostCookie } from '../http/guards/origin.ts'
import { networkOf } from '../http/guards/proxies.ts'
import { type Limits, refuseOver } from '../http/limits/limits.ts'
import { expectRoom } from '../http/limits/room.ts'
import { deviceCookies, refreshCookies, sendTokens } from '../http/replies/cookies.ts'
import { proofHeader, proofRequestOf } from '../http/requests/dpop.ts'
import { endpoint } from '../http/requests/endpoint.ts'
import { operationOf } from '../http/requests/facts.ts'
import { localeOf } from '../http/requests/language.ts'
import {
  Audience,
  accepted,
  ClientId,
  DeviceToken,
  Email,
  Password,
  Scope,
  tokenReply,
  UserReply,
} from '../http/requests/schemas.ts'
import { userOf } from '../principal.ts'
import type { DpopJudge } from '../proven-key.ts'
import { publicUser } from '../users/public-user.ts'
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
    device_token: Type.Optional(DeviceToken),
  },
  closed,
)
const PasswordBody = Type.Object({ current_password: Password, new_password: Password }, closed)

const PASSWORD_PROBLEMS = ['password_too_short', 'password_too_long', 'password_blocked'] as const

type Needs = Parameters<typeof register>[0] &
  Parameters<typeof signIn>[0] &
  Parameters<typeof changePassword>[0] & { dpop: DpopJudge }

/** Registration, sign-in, and the user's own account. */
export function signInEndpoints(
  deps: Needs,
  clients: Clients,
  limits: Pick<Limits, 'login' | 'register' | 'turnAway'>,
) {
  return {
    register: endpoint(
      {
        tags: ['Sessions'],
        summary: 'Create an account',
        description:
          'Where registration is open. It signs nobody in: go on with `/login`. Where addresses have to be verified (`EMAIL_VERIFICATION`), the answer is always 202, whether or not the address has an account, and a mail goes to its owner: go on with `/email/verify`.',
        body: RegisterBody,
        response: {
          201: Type.Object({ user: UserReply }, { ...closed, description: 'The account' }),
          202: accepted('The owner of the address gets a mail'),
        },
        problems: ['invalid_email', ...PASSWORD_PROBLEMS, 'registration_closed', 'email_taken', 'overloaded'],
      },
      async (request, reply) => {
        refuseForeignOrigin(request, clientBehind(clients, request.headers.origin))
        await expectRoom(deps.hasher, limits, request)
        refuseOver(await limits.register(request), deps.metrics)
        const input = { ...request.body, locale: localeOf(request) }
        const user = await register(deps, operationOf(request, deps.clock()), input)
        if (!user) return reply.code(202).send(undefined)
        return reply.code(201).send({ user: publicUser(user) })
      },
    ),

    login: endpoint(
      {
        tags: ['Sessions'],
        summary: 'Sign in',
        description:
          'Starts a session. A browser (`client_id` `web`, the default) gets the refresh token in an HttpOnly cookie that scripts cannot read; a native client gets it in the body. A proof in the header `DPoP` (RFC 9449) binds the tokens to its key: from then on they are good only with a proof of it. Every wrong pair gets the same answer, whether or not the account exists.',
        headers: Type.Object(proofHeader),
        body: LoginBody,
        response: { 200: tokenReply('The tokens of a new session') },
        problems: [
          'invalid_email',
          'invalid_client',
          'invalid_dpop_proof',
          'use_dpop_nonce',
          'invalid_scope',
          'invalid_target',
          'invalid_credentials',
          'email_unverified',
          'token_too_large',
          'overloaded',
        ],
      },
      async (request, reply) => {
        const { client_id, remember = false, device_token, ...rest } = request.body
        const client =
          client_id === undefined
            ? browserClientBehind(clients, request.headers.origin)
            : clientNamed(clients, client_id)
        refuseForeignOrigin(request, client)
        if (client.delivery === 'cookie') refuseLostCookie(request, deps.config.ISSUER)
        await expectRoom(deps.hasher, limits, request)
        // Before the limit: whoever has to come again with a nonce is counted once.
        const proof = deps.dpop.read(proofRequestOf(request))
        if (!proof && client.dpopRequired) throw new Problem('invalid_dpop_proof', { reason: 'no_proof' })
        refuseOver(await limits.login(request), deps.metrics)
        const key = proof && (await deps.dpop.prove(proof, networkOf(request.source.address)))
        if (proof) await deps.dpop.useUp(proof)
        // With two cookies of the same name, it is unknown which one the browser will overwrite: neither session ends.
        const [cookie, another] = client.delivery === 'cookie' ? refreshCookies(request, client.id) : []
        const replaces = another === undefined ? cookie : undefined
        const inBody = device_token === undefined ? [] : [device_token]
        const devices = client.delivery === 'cookie' ? deviceCookies(request) : inBody
        const operation = operationOf(request, deps.clock())
        const issued = await signIn(deps, operation, {
          ...rest,
          client,
          remember,
          replaces,
          dpopJkt: key?.jkt,
          devices,
        })
        request.noted = { userId: issued.subject.id, familyId: issued.sessionId }
        return sendTokens(reply, issued)
      },
    ),

    changePassword: endpoint(
      {
        tags: ['Account'],
        summary: 'Change the password',
        description: 'Ends every other session of the account.',
        body: PasswordBody,
        response: { 204: Type.Null({ description: 'Changed' }) },
        problems: ['invalid_credentials', ...PASSWORD_PROBLEMS, 'overloaded'],
      },
      async (request, reply) => {
        const { current_password: currentPassword, new_password: newPassword } = request.body
        const operation = operationOf(request, deps.clock())
        await changePassword(deps, operation, userOf(request.principal), { currentPassword, newPassword })
        return reply.code(204).send(null)
      },
    ),
  }
}
