import type { FastifyRequest } from 'fastify'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { sendPage } from '../../http/replies/pages.ts'
import { askForAddress, confirmAddress, undoAddress } from '../../users/change-address.ts'
import { expectFilled } from '../faults.ts'
import { changeEmailPage, confirmEmailPage, refusedToken, undoPage } from '../mailbox/pages.ts'
import { donePage } from '../plain-pages.ts'
import type { Visits } from '../visits/routes.ts'

type Needs = Parameters<typeof askForAddress>[0]

/** Another address for one's account, and the way back. */
export function addressPages(deps: Needs, visits: Visits, { limits }: { limits: Pick<Limits, 'login'> }) {
  const take = async (request: FastifyRequest): Promise<void> => {
    refuseOver(await limits.login(request), deps.metrics)
  }
  return {
    changeEmail: {
      show: visits.shown(async (request, reply, view) => {
        const visitor = await visits.visitorOf(request)
        if (!visitor) return visits.sendToSignIn(request, reply, view)
        return sendPage(reply, changeEmailPage(view, visitor.subject.email))
      }),
      send: visits.sent(['email', 'current_password'], {
        before: async (request) => {
          await take(request)
          return await visits.expectVisitor(request, true)
        },
        refused: (view, fault, { email }, { subject }) => changeEmailPage(view, subject.email, { email, fault }),
        problems: { invalid_email: 'email', invalid_credentials: 'current_password' },
        act: async ({ request, reply, view, fields, before: visitor }) => {
          expectFilled(fields, ['email', 'current_password'])
          const { email, current_password: currentPassword } = fields
          const input = { email, currentPassword, locale: view.locale }
          await askForAddress(deps, visits.operation(request, visitor), visitor, input)
          const { sent: title, sentText } = view.words.changeEmail
          const label = view.words.mailed.haveCode
          return sendPage(reply, donePage(view, { title, text: sentText(email), path: '/account/email', label }))
        },
      }),
    },

    email: {
      show: visits.shown(async (_request, reply, view) => sendPage(reply, confirmEmailPage(view))),
      send: visits.sent(['token', 'code'], {
        refused: (view, fault, { token }) => confirmEmailPage(view, { fault, ...refusedToken(fault, token) }),
        act: async ({ request, reply, view, fields }) => {
          if (fields.token === '') expectFilled(fields, ['code'])
          await take(request)
          const { locale } = view
          const { token } = fields
          if (token !== '') await confirmAddress(deps, visits.operation(request), { token, locale })
          else {
            const visitor = await visits.expectVisitor(request, true)
            const input = { userId: visitor.subject.id, code: fields.code, locale }
            await confirmAddress(deps, visits.operation(request, visitor), input)
          }
          const { done: title, doneText: text } = view.words.confirmEmail
          return sendPage(reply, donePage(view, { title, text, path: '/account', label: view.words.back }))
        },
      }),
    },

    undo: {
      show: visits.shown(async (_request, reply, view) => sendPage(reply, undoPage(view))),
      send: visits.sent(['token'], {
        refused: (view, fault, { token }) => undoPage(view, { fault, ...refusedToken(fault, token) }),
        act: async ({ request, reply, view, fields }) => {
          expectFilled(fields, ['token'])
          await take(request)
          await undoAddress(deps, visits.operation(request), { token: fields.token, locale: view.locale })
          const { done: title, doneText: text } = view.words.undo
          const label = view.words.reset.title
          return sendPage(reply, donePage(view, { title, text, path: '/account/reset', label }))
        },
      }),
    },
  }
}
