import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { clientNamed } from '../../clients/choose.ts'
import type { Client, Clients } from '../../clients/clients.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import { Problem } from '../../errors.ts'
import { requireOwnPage } from '../../http/guards/origin.ts'
import { networkOf } from '../../http/guards/proxies.ts'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { refreshCookies } from '../../http/replies/cookies.ts'
import { sendPage, sendProblemPage } from '../../http/replies/pages.ts'
import { logProblem, toProblem } from '../../http/replies/problems.ts'
import type { Endpoint } from '../../http/requests/endpoint.ts'
import { operationOf } from '../../http/requests/facts.ts'
import type { Metrics } from '../../metrics.ts'
import type { Operation } from '../../operation.ts'
import type { Semaphore } from '../../semaphore.ts'
import { findVisitor, type Visitor } from '../../sessions/visitor.ts'
import { type FieldsByProblem, faultOf } from '../faults.ts'
import type { Fault } from '../fields.ts'
import { passagePage, problemPage } from '../plain-pages.ts'
import { checkReturnTo, checkThumbprint, createView, linkTo, type View, type Wishes } from '../view.ts'

// What all pages do with a request: how it is to be answered, who asks, and which forms are taken from whom.

type Needs = Parameters<typeof findVisitor>[0] & { config: Config; clock: Clock; metrics: Metrics }

const WishesQuery = Type.Object({
  ui_locales: Type.Optional(Type.String({ maxLength: 200 })),
  theme: Type.Optional(Type.String({ maxLength: 200 })),
  return_to: Type.Optional(Type.String({ maxLength: 300 })),
  client_id: Type.Optional(Type.String({ maxLength: 200 })),
  dpop_jkt: Type.Optional(Type.String({ maxLength: 200 })),
})

interface Sent<N extends string, Before> {
  request: FastifyRequest
  reply: FastifyReply
  view: View
  fields: Record<N, string>
  before: Before
}

interface Form<N extends string, Before> {
  /** What has to be known before the form is judged, such as who is signed in. */
  before?: (request: FastifyRequest) => Promise<Before>
  act(sent: Sent<N, Before>): Promise<FastifyReply>
  /** The page with the form, and what was wrong with it. Without one, a page of its own tells that. */
  refused?: (view: View, fault: Fault, fields: Record<N, string>, before: Before) => string
  problems?: FieldsByProblem
}

export type Visits = ReturnType<typeof createVisits>

export function createVisits(
  deps: Needs,
  { clients, limits, semaphore }: { clients: Clients; limits: Pick<Limits, 'account'>; semaphore: Semaphore },
) {
  const { config } = deps
  const ownOrigin = new URL(config.ISSUER).origin

  /** @throws Problem `invalid_request` for a site to return to that is not the client's, or a thumbprint that is none. */
  function viewOf(request: FastifyRequest): View {
    const view = tolerantView(config, request)
    checkReturnTo(view.returnTo, clientOf(request).origins)
    checkThumbprint(view.wishes.dpop_jkt)
    return view
  }

  /**
   * The client whose session the page is about.
   * @throws Problem `invalid_client` unless it is one of browsers: the pages have cookies and nothing else.
   */
  function clientOf(request: FastifyRequest): Client {
    const client = clientNamed(clients, wishesOf(request).client_id)
    if (client.type !== 'browser') throw new Problem('invalid_client')
    return client
  }

  /** A page. */
  function shown(show: (request: FastifyRequest, reply: FastifyReply, view: View) => Promise<FastifyReply>): Endpoint {
    const handler = async (request: FastifyRequest, reply: FastifyReply) => show(request, reply, viewOf(request))
    return { schema: { hide: true, querystring: WishesQuery }, handler }
  }

  /**
   * A form. If it is refused it is shown again, with what was filled in and what was wrong.
   * @param names its fields. They may be missing: an empty one is told of beside it.
   */
  function sent<N extends string, Before = undefined>(names: readonly N[], form: Form<N, Before>): Endpoint {
    const fields = names.map((name) => [name, Type.Optional(Type.String({ maxLength: 4096 }))])
    const body = Type.Object(Object.fromEntries(fields), { additionalProperties: false })
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      requireOwnPage(request, config.ISSUER)
      const view = viewOf(request)
      const given = request.body as Partial<Record<N, string>>
      const filled = Object.fromEntries(names.map((name) => [name, given[name] ?? ''])) as Record<N, string>
      const before = (await form.before?.(request)) as Before
      try {
        return await form.act({ request, reply, view, fields: filled, before })
      } catch (error) {
        if (!form.refused) throw error
        const problem = toProblem(error as Parameters<typeof toProblem>[0], request)
        logProblem(problem, error, request)
        const markup = form.refused(view, faultOf(view, problem, form.problems), filled, before)
        return sendProblemPage(reply, markup, { problem, request, config })
      }
    }
    return { schema: { hide: true, querystring: WishesQuery, body }, handler, form: true }
  }

  /**
   * Who is signed in in this browser.
   * @param counted whether the request has taken from a limit already; otherwise a look takes from that of accounts.
   */
  async function visitorOf(request: FastifyRequest, counted = false): Promise<Visitor | undefined> {
    const { id: clientId } = clientOf(request)
    const [cookie, another] = refreshCookies(request, clientId)
    // Of two cookies with one name nobody knows which the browser will keep. And no browser sends the cookie along with
    // what another site asks for.
    if (cookie === undefined || another !== undefined || isForeign(request)) return undefined
    if (!counted) refuseOver(await limits.account(request), deps.metrics)
    const find = () => findVisitor(deps, { text: cookie, clientId })
    const visitor = await semaphore.run(find, networkOf(request.source.address))
    if (visitor) request.noted = { userId: visitor.subject.id, familyId: visitor.sessionId }
    return visitor
  }

  function isForeign({ headers }: FastifyRequest): boolean {
    return headers['sec-fetch-site'] === 'cross-site' || (headers.origin ?? ownOrigin) !== ownOrigin
  }

  /** @throws Problem `invalid_grant`. */
  async function expectVisitor(request: FastifyRequest, counted = false): Promise<Visitor> {
    const visitor = await visitorOf(request, counted)
    if (!visitor) throw new Problem('invalid_grant', { reason: 'no_token' })
    return visitor
  }

  /** Answers somebody who came to a page for which one has to be signed in. */
  function sendToSignIn(request: FastifyRequest, reply: FastifyReply, view: View): FastifyReply {
    // Whoever follows a link in a mail comes without the cookie, which is SameSite=Strict. A step from this page has it.
    if (isForeign(request)) return sendPage(reply, passagePage(view))
    return reply.code(303).header('location', linkTo(view, '/account/sign-in')).send()
  }

  function operation(request: FastifyRequest, visitor?: Visitor): Operation {
    const asked = operationOf(request, deps.clock())
    return visitor ? { ...asked, actor: `user:${visitor.subject.id}` } : asked
  }

  return { shown, sent, clientOf, visitorOf, expectVisitor, sendToSignIn, operation }
}

/** Answers with a page what no form can show. Order: before the routes of the scope. */
export function answerWithPages(scope: FastifyInstance, config: Config): void {
  scope.setErrorHandler((error: Parameters<typeof toProblem>[0], request, reply) => {
    const problem = toProblem(error, request)
    logProblem(problem, error, request)
    const markup = problemPage(tolerantView(config, request), problem)
    return sendProblemPage(reply, markup, { problem, request, config })
  })
}

/** The view of a request whose query has not been checked. */
function tolerantView(config: Config, request: FastifyRequest): View {
  const [path = ''] = request.url.split('?')
  return createView(config, { path, wishes: wishesOf(request), acceptLanguage: request.headers['accept-language'] })
}

function wishesOf(request: FastifyRequest): Wishes {
  const query = (request.query ?? {}) as Record<string, unknown>
  const wishes: Wishes = {}
  for (const name of ['ui_locales', 'theme', 'return_to', 'client_id', 'dpop_jkt'] as const) {
    const value = query[name]
    if (typeof value === 'string') wishes[name] = value
  }
  return wishes
}
