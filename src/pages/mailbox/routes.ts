import type { FastifyRequest } from 'fastify'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { expectRoom } from '../../http/limits/room.ts'
import { sendPage } from '../../http/replies/pages.ts'
import { acceptInvitation } from '../../sign-in/accept-invitation.ts'
import { requestMail } from '../../sign-in/request-mail.ts'
import { resetPassword } from '../../sign-in/reset-password.ts'
import { verifyEmail } from '../../sign-in/verify-email.ts'
import { expectFilled } from '../faults.ts'
import { html } from '../html.ts'
import { donePage } from '../plain-pages.ts'
import { linkTo, type View } from '../view.ts'
import type { Visits } from '../visits/routes.ts'
import { addressPage, type FilledIn, passwordByMail, refusedToken } from './pages.ts'

type Needs = Parameters<typeof acceptInvitation>[0] &
  Parameters<typeof requestMail>[0] &
  Parameters<typeof resetPassword>[0] &
  Parameters<typeof verifyEmail>[0] & { metrics: Parameters<typeof refuseOver>[1] }

type MailedFields = Record<'token' | 'email' | 'code' | 'password', string>

/** What somebody can do who reads the mailbox of an account, and knows no password. None of it signs in. */
export function mailboxPages(
  deps: Needs,
  visits: Visits,
  { limits }: { limits: Pick<Limits, 'forgot' | 'login' | 'register' | 'turnAway'> },
) {
  const PASSWORD = {
    password_too_short: 'password',
    password_too_long: 'password',
    password_blocked: 'password',
  } as const

  /** A page that asks for an address, to which something is mailed if it has an account. */
  function asking(cause: 'forgot' | 'resend', path: string, next: string) {
    const page = (view: View, filled?: FilledIn) => addressPage(view, path, view.words[cause], filled)
    return {
      show: visits.shown(async (_request, reply, view) => sendPage(reply, page(view))),
      send: visits.sent(['email'], {
        refused: (view, fault, { email }) => page(view, { email, fault }),
        problems: { invalid_email: 'email' },
        act: async ({ request, reply, view, fields }) => {
          expectFilled(fields, ['email'])
          refuseOver(await limits.forgot(request), deps.metrics)
          await requestMail(deps, visits.operation(request), { cause, email: fields.email, locale: view.locale })
          const { done: title, doneText } = view.words[cause]
          const text = doneText(fields.email)
          return sendPage(reply, donePage(view, { title, text, path: next, label: view.words.mailed.haveCode }))
        },
      }),
    }
  }

  /** A page that takes what was mailed, and the password that holds from then on. */
  function answering(
    kind: 'reset' | 'verify' | 'invitation',
    act: (
      request: FastifyRequest,
      view: View,
      sent: ReturnType<typeof presentedIn>,
      password: string,
    ) => Promise<unknown>,
    limit: 'login' | 'register' = 'login',
  ) {
    const path = `/account/${kind}`
    const page = (view: View, filled?: FilledIn) =>
      passwordByMail(view, path, {
        words: view.words[kind],
        isNew: kind !== 'verify',
        filled,
        ...(kind === 'verify' ? { below: resendLink(view) } : {}),
      })
    return {
      show: visits.shown(async (_request, reply, view) => sendPage(reply, page(view))),
      send: visits.sent(['token', 'email', 'code', 'password'], {
        refused: (view, fault, { email, token }) => page(view, { email, fault, ...refusedToken(fault, token) }),
        problems: { invalid_email: 'email', email_taken: 'email', ...PASSWORD },
        act: async ({ request, reply, view, fields }) => {
          const presented = presentedIn(fields)
          expectFilled(fields, ['password'])
          await expectRoom(deps.hasher, limits, request)
          refuseOver(await limits[limit](request), deps.metrics)
          await act(request, view, presented, fields.password)
          const { done: title, doneText: text } = view.words[kind]
          const signIn = { path: '/account/sign-in', label: view.words.mailed.signIn }
          return sendPage(reply, donePage(view, { title, text, ...signIn }))
        },
      }),
    }
  }

  return {
    forgot: asking('forgot', '/account/forgot', '/account/reset'),
    resend: asking('resend', '/account/resend', '/account/verify'),
    reset: answering('reset', (request, _view, presented, newPassword) =>
      resetPassword(deps, visits.operation(request), { presented, newPassword }),
    ),
    verify: answering('verify', (request, _view, presented, password) =>
      verifyEmail(deps, visits.operation(request), { presented, password }),
    ),
    invitation: answering(
      'invitation',
      (request, _view, presented, password) =>
        acceptInvitation(deps, visits.operation(request), { presented, password }),
      'register',
    ),
  }
}

/** The link if there is one, else what was typed. */
function presentedIn(fields: MailedFields): { token: string } | { email: string; code: string } {
  const { token, email } = fields
  if (token !== '') return { token }
  expectFilled(fields, ['email', 'code'])
  return { email, code: fields.code }
}

function resendLink(view: View) {
  const { verify, mailed } = view.words
  return html`<p class="below">${verify.resend} <a href="${linkTo(view, '/account/resend')}">${mailed.again}</a></p>`
}
