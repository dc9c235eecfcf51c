import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../errors.ts'
import { refuseLostCookie } from '../../http/guards/origin.ts'
import { networkOf } from '../../http/guards/proxies.ts'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { expectRoom } from '../../http/limits/room.ts'
import { clearRefreshCookie, deviceCookies, refreshCookies, setTokenCookies } from '../../http/replies/cookies.ts'
import { sendPage } from '../../http/replies/pages.ts'
import type { Semaphore } from '../../semaphore.ts'
import { createLogout } from '../../sessions/logout.ts'
import type { Visitor } from '../../sessions/visitor.ts'
import { register } from '../../sign-in/register.ts'
import { signIn } from '../../sign-in/sign-in.ts'
import { expectFilled } from '../faults.ts'
import { donePage, returnPage, signedInPage } from '../plain-pages.ts'
import { linkTo, type View } from '../view.ts'
import type { Visits } from '../visits/routes.ts'
import { registerPage, signInPage } from './pages.ts'

type Needs = Parameters<typeof register>[0] & Parameters<typeof signIn>[0] & Parameters<typeof createLogout>[0]

const PASSWORD_FAULTS = {
  password_too_short: 'password',
  password_too_long: 'password',
  password_blocked: 'password',
} as const

interface Parts {
  limits: Pick<Limits, 'login' | 'register' | 'logout' | 'turnAway'>
  semaphore: Semaphore
}

/** Signing in, signing out, and making an account: what the API has, for people. */
export function signInPages(deps: Needs, visits: Visits, { limits, semaphore }: Parts) {
  const logout = createLogout(deps, semaphore)

  /** As `POST /login` does it. */
  async function start(request: FastifyRequest, reply: FastifyReply, view: View, input: Credentials) {
    refuseLostCookie(request, deps.config.ISSUER)
    await expectRoom(deps.hasher, limits, request)
    refuseOver(await limits.login(request), deps.metrics)
    const client = visits.clientOf(request)
    const [cookie, another] = refreshCookies(request, client.id)
    const replaces = another === undefined ? cookie : undefined
    const issued = await signIn(deps, visits.operation(request), {
      ...input,
      client,
      replaces,
      dpopJkt: view.wishes.dpop_jkt,
      devices: deviceCookies(request),
    })
    request.noted = { userId: issued.subject.id, familyId: issued.sessionId }
    setTokenCookies(reply, issued)
    if (view.returnTo !== undefined) return sendPage(reply, returnPage(view, view.returnTo))
    return reply.code(303).header('location', linkTo(view, '/account')).send()
  }

  return {
    signIn: visits.shown(async (request, reply, view) => {
      const visitor = await visits.visitorOf(request)
      if (visitor && !isOfAnotherKey(visitor, view)) return sendPage(reply, signedInPage(view, visitor.subject.email))
      expectKey(request, view)
      return sendPage(reply, signInPage(view))
    }),

    sendSignIn: visits.sent(['email', 'password', 'remember'], {
      refused: (view, fault, { email, remember }) => signInPage(view, { email, remember: remember !== '', fault }),
      problems: { invalid_email: 'email' },
      act: async ({ request, reply, view, fields }) => {
        expectFilled(fields, ['email', 'password'])
        expectKey(request, view)
        const { email, password, remember } = fields
        return await start(request, reply, view, { email, password, remember: remember !== '' })
      },
    }),

    register: visits.shown(async (request, reply, view) => {
      expectOpen()
      expectKey(request, view)
      return sendPage(reply, registerPage(view))
    }),

    sendRegister: visits.sent(['email', 'password'], {
      refused: (view, fault, { email }) => registerPage(view, { email, fault }),
      problems: { invalid_email: 'email', email_taken: 'email', ...PASSWORD_FAULTS },
      act: async ({ request, reply, view, fields }) => {
        expectOpen()
        expectKey(request, view)
        expectFilled(fields, ['email', 'password'])
        await expectRoom(deps.hasher, limits, request)
        refuseOver(await limits.register(request), deps.metrics)
        const user = await register(deps, visits.operation(request), { ...fields, locale: view.locale })
        if (!user) return sendPage(reply, lookIntoMailbox(view, fields.email))
        try {
          return await start(request, reply, view, { ...fields, remember: false })
        } catch (error) {
          // The account is there, so the form must not be sent once more.
          if (!(error instanceof Problem)) throw error
          return sendPage(reply, signInPage(view, { email: fields.email, done: view.words.register.done }))
        }
      },
    }),

    signOut: visits.sent([], {
      act: async ({ request, reply, view }) => {
        refuseOver(await limits.logout(request), deps.metrics)
        const { id: clientId } = visits.clientOf(request)
        const [token, another] = refreshCookies(request, clientId)
        if (another !== undefined) throw new Problem('invalid_request', { detail: 'Send one refresh token.' })
        const network = networkOf(request.source.address)
        await logout(visits.operation(request), { token, delivery: 'cookie', clientId, network })
        clearRefreshCookie(reply, clientId)
        const { title, text, signIn: label } = view.words.signedOut
        return sendPage(reply, donePage(view, { title, text, label, path: '/account/sign-in' }))
      },
    }),
  }

  /**
   * The key is named and not proved here: the site that led here has it, and without it nobody can do anything with the session.
   * @throws Problem `invalid_request` if the client has bound sessions only, and no key is named.
   */
  function expectKey(request: FastifyRequest, { wishes }: View): void {
    if (wishes.dpop_jkt === undefined && visits.clientOf(request).dpopRequired)
      throw new Problem('invalid_request', { reason: 'dpop_jkt is missing or malformed' })
  }

  /**
   * Browsers delete what a site has stored, its key as well, and keep our cookie. The site can do nothing with that session, and would
   * be led here again and again.
   */
  function isOfAnotherKey({ dpopJkt }: Visitor, { wishes }: View): boolean {
    return dpopJkt !== null && wishes.dpop_jkt !== undefined && wishes.dpop_jkt !== dpopJkt
  }

  function expectOpen(): void {
    if (deps.config.REGISTRATION !== 'open') throw new Problem('registration_closed')
  }
}

/** The same whether or not the address had an account. */
function lookIntoMailbox(view: View, email: string): string {
  const { registered, mailed } = view.words
  const text = registered.text(email)
  return donePage(view, { title: registered.title, text, path: '/account/verify', label: mailed.haveCode })
}

interface Credentials {
  email: string
  password: string
  remember: boolean
}
