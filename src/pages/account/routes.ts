import type { FastifyReply } from 'fastify'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { sendPage } from '../../http/replies/pages.ts'
import type { Metrics } from '../../metrics.ts'
import { endOwn, endSessions } from '../../sessions/end.ts'
import { listLive } from '../../sessions/list.ts'
import type { Visitor } from '../../sessions/visitor.ts'
import { changePassword } from '../../sign-in/change-password.ts'
import { isUuid } from '../../uuid.ts'
import { expectFilled } from '../faults.ts'
import { donePage } from '../plain-pages.ts'
import type { View } from '../view.ts'
import type { Visits } from '../visits/routes.ts'
import { accountPage, passwordPage } from './pages.ts'

type Needs = Parameters<typeof changePassword>[0] &
  Parameters<typeof endOwn>[0] & { clock: () => Date; metrics: Metrics }

/** More are never live, whatever SESSIONS_PER_USER says. */
const MOST_SESSIONS = 1000

/** One's own account: sessions and password. */
export function accountPages(deps: Needs, visits: Visits, { limits }: { limits: Pick<Limits, 'login'> }) {
  async function sendAccount(reply: FastifyReply, view: View, visitor: Visitor, done?: string): Promise<FastifyReply> {
    const now = deps.clock()
    const { email, id: userId } = visitor.subject
    const { sessions } = await listLive(deps.db, now, { userId, limit: MOST_SESSIONS })
    return sendPage(reply, accountPage(view, { email, sessions, sessionId: visitor.sessionId, now, done }))
  }

  return {
    account: visits.shown(async (request, reply, view) => {
      const visitor = await visits.visitorOf(request)
      return visitor ? await sendAccount(reply, view, visitor) : visits.sendToSignIn(request, reply, view)
    }),

    endSessions: visits.sent(['id', 'others'], {
      act: async ({ request, reply, view, fields }) => {
        const visitor = await visits.expectVisitor(request)
        const { account: words } = view.words
        const operation = visits.operation(request, visitor)
        const userId = visitor.subject.id
        if (fields.others !== '') {
          const ending = { userId, cause: 'session_ended_by_user', except: visitor.sessionId } as const
          await endSessions(deps, operation, ending)
          return await sendAccount(reply, view, visitor, words.othersEnded)
        }
        const ended = isUuid(fields.id) && (await endOwn(deps, operation, { id: fields.id, userId }))
        return await sendAccount(reply, view, visitor, ended ? words.ended : words.nothingEnded)
      },
    }),

    password: visits.shown(async (request, reply, view) => {
      const visitor = await visits.visitorOf(request)
      if (!visitor) return visits.sendToSignIn(request, reply, view)
      return sendPage(reply, passwordPage(view, visitor.subject))
    }),

    sendPassword: visits.sent(['current_password', 'new_password'], {
      before: async (request) => {
        refuseOver(await limits.login(request), deps.metrics)
        return await visits.expectVisitor(request, true)
      },
      refused: (view, fault, _fields, { subject }) => passwordPage(view, { email: subject.email, fault }),
      problems: {
        invalid_credentials: 'current_password',
        password_too_short: 'new_password',
        password_too_long: 'new_password',
        password_blocked: 'new_password',
      },
      act: async ({ request, reply, view, fields, before: visitor }) => {
        expectFilled(fields, ['current_password', 'new_password'])
        const input = { currentPassword: fields.current_password, newPassword: fields.new_password }
        await changePassword(deps, visits.operation(request, visitor), visitor, input)
        const { done: title, doneText: text } = view.words.changePassword
        return sendPage(reply, donePage(view, { title, text, path: '/account', label: view.words.back }))
      },
    }),
  }
}
