import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { clientBehind } from '../../clients/choose.ts'
import type { Clients } from '../../clients/clients.ts'
import { Problem } from '../../errors.ts'
import { refuseForeignOrigin } from '../../http/guards/origin.ts'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { expectRoom } from '../../http/limits/room.ts'
import { endpoint } from '../../http/requests/endpoint.ts'
import { operationOf } from '../../http/requests/facts.ts'
import { localeOf } from '../../http/requests/language.ts'
import { accepted, Email, LinkToken, MailedCode, Password, UserReply } from '../../http/requests/schemas.ts'
import type { Metrics } from '../../metrics.ts'
import { publicUser } from '../../users/public-user.ts'
import { acceptInvitation } from '../accept-invitation.ts'
import type { FromMailbox } from '../prove-mailbox.ts'
import { requestMail } from '../request-mail.ts'
import { resetPassword } from '../reset-password.ts'
import { verifyEmail } from '../verify-email.ts'

const closed = { additionalProperties: false } as const
const AddressBody = Type.Object({ email: Email }, closed)
/** Either the token, or the code and the address that it was mailed to. */
const Mailed = {
  token: Type.Optional(LinkToken),
  email: Type.Optional(Email),
  code: Type.Optional(MailedCode),
}
const MailedBody = Type.Object(Mailed)
const ResetBody = Type.Object({ ...Mailed, new_password: Password }, closed)
/** To verify the address, or to accept an invitation. */
const PasswordBody = Type.Object({ ...Mailed, password: Password }, closed)

const PASSWORD_PROBLEMS = ['password_too_short', 'password_too_long', 'password_blocked'] as const

type Needs = Parameters<typeof acceptInvitation>[0] &
  Parameters<typeof requestMail>[0] &
  Parameters<typeof resetPassword>[0] &
  Parameters<typeof verifyEmail>[0] & { metrics: Metrics }

/** What somebody can do who reads the mailbox of an account, and knows no password. None of it signs in. */
export function mailboxEndpoints(
  deps: Needs,
  clients: Clients,
  limits: Pick<Limits, 'forgot' | 'login' | 'register' | 'turnAway'>,
) {
  /** For whoever guesses at a link or a code, as for whoever guesses at a password. */
  const admitGuess = async (request: FastifyRequest, limit: 'login' | 'register' = 'login'): Promise<void> => {
    refuseForeignOrigin(request, clientBehind(clients, request.headers.origin))
    await expectRoom(deps.hasher, limits, request)
    refuseOver(await limits[limit](request), deps.metrics)
  }
  const ask = async (request: FastifyRequest, wish: { cause: 'forgot' | 'resend'; email: string }): Promise<void> => {
    refuseForeignOrigin(request, clientBehind(clients, request.headers.origin))
    refuseOver(await limits.forgot(request), deps.metrics)
    await requestMail(deps, operationOf(request, deps.clock()), { ...wish, locale: localeOf(request) })
  }

  return {
    forgot: endpoint(
      {
        tags: ['Recovery'],
        summary: 'Ask for a mail that resets the password',
        description:
          'If the address has an account that is enabled, a link and a code of eight digits go to it. The answer is the same for every address, and nothing is looked up before it is given. At most 3 mails an hour and 10 a day go to one address; beyond that the newest link stays good. Nothing changes until a mail is used.',
        body: AddressBody,
        response: { 202: accepted('Whether or not there is an account') },
        problems: ['invalid_email'],
      },
      async (request, reply) => {
        await ask(request, { cause: 'forgot', ...request.body })
        return reply.code(202).send(undefined)
      },
    ),

    reset: endpoint(
      {
        tags: ['Recovery'],
        summary: 'Reset the password',
        description:
          'Sets another password for whoever has the `token` of the link that was mailed, or the `code` beside it and the `email` that it was mailed to. Every session of the account ends, its back-off is over and its address counts as verified. It signs nobody in: go on with `/login`. A link lives for 30 minutes and can be used once, and only the newest; every refusal is the same `invalid_code`.',
        body: ResetBody,
        response: { 204: Type.Null({ description: 'Reset' }) },
        problems: ['invalid_code', 'invalid_email', ...PASSWORD_PROBLEMS, 'overloaded'],
      },
      async (request, reply) => {
        const presented = mailedIn(request.body)
        await admitGuess(request)
        const input = { presented, newPassword: request.body.new_password }
        await resetPassword(deps, operationOf(request, deps.clock()), input)
        return reply.code(204).send(null)
      },
    ),

    resend: endpoint(
      {
        tags: ['Recovery'],
        summary: 'Ask for another mail that verifies the address',
        description:
          'If the address has an account that is enabled and has not verified it, a link and a code go to it. As with `/password/forgot`, the answer is the same for every address, and the same limits hold for all mails together.',
        body: AddressBody,
        response: { 202: accepted('Whether or not there is an account') },
        problems: ['invalid_email'],
      },
      async (request, reply) => {
        await ask(request, { cause: 'resend', ...request.body })
        return reply.code(202).send(undefined)
      },
    ),

    verify: endpoint(
      {
        tags: ['Recovery'],
        summary: 'Verify the address',
        description:
          'For whoever has the `token` of the link that was mailed, or the `code` beside it and the `email` that it was mailed to. The `password` is the one that holds from then on: if it is not the one that was registered, it replaces it and every session ends, so an account that a stranger registered is worth nothing to the stranger. It signs nobody in: go on with `/login`. A link lives for 24 hours and can be used once, and only the newest; every refusal is the same `invalid_code`.',
        body: PasswordBody,
        response: { 204: Type.Null({ description: 'Verified' }) },
        problems: ['invalid_code', 'invalid_email', ...PASSWORD_PROBLEMS, 'overloaded'],
      },
      async (request, reply) => {
        const presented = mailedIn(request.body)
        await admitGuess(request)
        const input = { presented, password: request.body.password }
        await verifyEmail(deps, operationOf(request, deps.clock()), input)
        return reply.code(204).send(null)
      },
    ),

    acceptInvitation: endpoint(
      {
        tags: ['Recovery'],
        summary: 'Accept an invitation',
        description:
          'Makes the account of somebody whom an operator invited, with this password and the roles that the operator chose, whether or not registration is open. For whoever has the `token` of the link, or the `code` beside it and the `email` that was invited. If they were mailed, the address counts as verified, and an account that somebody registered with it and did not verify is taken over. It signs nobody in: go on with `/login`. An invitation is good for seven days and can be used once, and only the newest; every refusal is the same `invalid_code`.',
        body: PasswordBody,
        response: { 201: Type.Object({ user: UserReply }, { ...closed, description: 'The account' }) },
        problems: ['invalid_code', 'invalid_email', ...PASSWORD_PROBLEMS, 'email_taken', 'overloaded'],
      },
      async (request, reply) => {
        const presented = mailedIn(request.body)
        await admitGuess(request, 'register')
        const input = { presented, password: request.body.password }
        const user = await acceptInvitation(deps, operationOf(request, deps.clock()), input)
        return reply.code(201).send({ user: publicUser(user) })
      },
    ),
  }
}

/** @throws Problem invalid_request if it is not one of the two. */
function mailedIn({ token, email, code }: Static<typeof MailedBody>): FromMailbox {
  if (token !== undefined && email === undefined && code === undefined) return { token }
  if (token === undefined && email !== undefined && code !== undefined) return { email, code }
  throw new Problem('invalid_request', { detail: 'Send either token, or email and code.' })
}
