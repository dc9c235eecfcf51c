import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { clientBehind } from '../clients/choose.ts'
import type { Clients } from '../clients/clients.ts'
import type { Clock } from '../clock.ts'
import { Problem } from '../errors.ts'
import { refuseForeignOrigin } from '../http/guards/origin.ts'
import { type Limits, refuseOver } from '../http/limits/limits.ts'
import { endpoint } from '../http/requests/endpoint.ts'
import { operationOf } from '../http/requests/facts.ts'
import { localeOf } from '../http/requests/language.ts'
import { accepted, Email, LinkToken, MailedCode, Password, UserReply } from '../http/requests/schemas.ts'
import { userOf } from '../principal.ts'
import { askForAddress, confirmAddress, undoAddress } from './change-address.ts'
import { publicUser } from './public-user.ts'

const closed = { additionalProperties: false } as const
const EmailBody = Type.Object({ email: Email, current_password: Password }, closed)
const ConfirmBody = Type.Object({ token: Type.Optional(LinkToken), code: Type.Optional(MailedCode) }, closed)
const UndoBody = Type.Object({ token: LinkToken }, closed)

type Needs = Parameters<typeof askForAddress>[0] & Parameters<typeof confirmAddress>[0] & { clock: Clock }

/** The user's own account, and its address. */
export function userEndpoints(deps: Needs, clients: Clients, limits: Pick<Limits, 'login'>) {
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

    askForEmail: endpoint(
      {
        tags: ['Account'],
        summary: 'Ask for another address',
        description:
          'Sends a link and a code to the new address, and tells the present one, which stays until `/email/confirm`. An account may ask ten times a day. The answer does not tell whether the new one has an account.',
        body: EmailBody,
        response: { 202: accepted('A mail is on its way, if the new address has no account') },
        problems: ['invalid_email', 'invalid_credentials', 'overloaded'],
      },
      async (request, reply) => {
        const { email, current_password: currentPassword } = request.body
        const input = { email, currentPassword, locale: localeOf(request) }
        await askForAddress(deps, operationOf(request, deps.clock()), userOf(request.principal), input)
        return reply.code(202).send(undefined)
      },
    ),

    confirmEmail: endpoint(
      {
        tags: ['Account'],
        summary: 'Confirm the new address',
        description:
          'With the token of the link, from any device and without signing in; or signed in, with the code. The former address gets a link for `/email/undo`. Sessions go on.',
        body: ConfirmBody,
        response: { 204: Type.Null({ description: 'The account has the new address, and it is verified' }) },
        problems: ['invalid_code', 'email_taken'],
      },
      async (request, reply) => {
        await admit(request)
        const presented = presentedBy(request, request.body)
        await confirmAddress(deps, operationOf(request, deps.clock()), { ...presented, locale: localeOf(request) })
        return reply.code(204).send(null)
      },
    ),

    undoEmail: endpoint(
      {
        tags: ['Account'],
        summary: 'Take a change of address back',
        description:
          'With the token that the former address was sent, within seven days. The account has that address again, every session ends, and the password is refused until it is reset: a link for that is sent to the address.',
        body: UndoBody,
        response: { 204: Type.Null({ description: 'Taken back' }) },
        problems: ['invalid_code', 'email_taken'],
      },
      async (request, reply) => {
        await admit(request)
        const { token } = request.body
        await undoAddress(deps, operationOf(request, deps.clock()), { token, locale: localeOf(request) })
        return reply.code(204).send(null)
      },
    ),
  }

  /** As every public endpoint does: pages of no client of ours are refused before anything is counted. */
  async function admit(request: FastifyRequest): Promise<void> {
    refuseForeignOrigin(request, clientBehind(clients, request.headers.origin))
    // Whoever is known was counted before their token was looked up.
    if (!request.caller) refuseOver(await limits.login(request), deps.metrics)
  }
}

/** The code is short, so it counts only for the user who asked for it. */
function presentedBy(request: FastifyRequest, { token, code }: { token?: string; code?: string }) {
  if ((token === undefined) === (code === undefined))
    throw new Problem('invalid_request', { detail: 'body must have either token or code.' })
  if (token !== undefined) return { token }
  if (!request.caller) throw new Problem('invalid_token', { reason: 'missing' })
  return { userId: userOf(request.caller).subject.id, code: code as string }
}
