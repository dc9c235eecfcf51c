import type { FastifyContextConfig, InjectOptions } from 'fastify'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { createTestApp, type SignedUp } from '../support/app.ts'

const PAGE = 'https://app.example.com'
const WEB_VIEW = 'capacitor://localhost'
const FOREIGN = 'https://evil.example'

/** Makes the users; its limits are out of the way. */
const maker = await createTestApp({ env: { ALLOWED_ORIGINS: PAGE, NATIVE_ORIGINS: WEB_VIEW } })
const t = await createTestApp({
  join: maker,
  env: {
    RATE_LIMIT_LOGIN_PER_MINUTE: '3',
    RATE_LIMIT_REGISTER_PER_HOUR: '3',
    RATE_LIMIT_FORGOT_PER_HOUR: '3',
    RATE_LIMIT_REFRESH_PER_MINUTE: '3',
    RATE_LIMIT_LOGOUT_PER_MINUTE: '3',
    RATE_LIMIT_ACCOUNT_PER_MINUTE: '3',
    RATE_LIMIT_FAMILY_PER_MINUTE: '3',
  },
})
afterAll(async () => {
  await t[Symbol.asyncDispose]()
  await maker[Symbol.asyncDispose]()
})

/** A new one for each test, so that none is limited by another. */
let address: string
let user: SignedUp
let made = 0
beforeEach(async () => {
  address = `198.51.100.${++made}`
  user = await maker.signUp(undefined, undefined, { client_id: 'web' })
})

/** What the address has used of each limit. */
async function counted(): Promise<Record<string, number>> {
  const rows = await t.db.selectFrom('rate_limits').select(['policy', 'count']).where('key', '=', address).execute()
  return Object.fromEntries(rows.map(({ policy, count }) => [policy, count]))
}

/** Every route, in the order of the alphabet: who may call it, and what a call takes from. */
const ROUTES = [
  'DELETE /sessions/:id: user, account',
  'DELETE /sessions: user, account',
  'GET /.well-known/change-password: public, none',
  'GET /.well-known/jwks.json: public, none',
  'GET /.well-known/oauth-authorization-server: public, none',
  'GET /.well-known/openid-configuration: public, none',
  'GET /.well-known/revocations/stream: public, none',
  'GET /.well-known/revocations: public, none',
  'GET /: public, none',
  'GET /account/change-email: public, account',
  'GET /account/email: public, none',
  'GET /account/forgot: public, none',
  'GET /account/invitation: public, none',
  'GET /account/logo: public, none',
  'GET /account/password: public, account',
  'GET /account/register: public, none',
  'GET /account/resend: public, none',
  'GET /account/reset: public, none',
  'GET /account/script.js: public, none',
  'GET /account/sign-in: public, account',
  'GET /account/style.css: public, none',
  'GET /account/undo: public, none',
  'GET /account/verify: public, none',
  'GET /account: public, account',
  'GET /docs/:file: public, none',
  'GET /docs: public, none',
  'GET /livez: public, none',
  'GET /me: user, account',
  'GET /openapi.json: public, none',
  'GET /readyz: public, none',
  'GET /sessions: user, account',
  'POST /.well-known/revocations/receipts: public, none',
  'POST /account/change-email: public, login',
  'POST /account/email: public, login',
  'POST /account/forgot: public, forgot',
  'POST /account/invitation: public, register',
  'POST /account/password: public, login',
  'POST /account/register: public, register',
  'POST /account/resend: public, forgot',
  'POST /account/reset: public, login',
  'POST /account/sign-in: public, login',
  'POST /account/sign-out: public, logout',
  'POST /account/undo: public, login',
  'POST /account/verify: public, login',
  'POST /account: public, account',
  'POST /email/confirm: optional, login',
  'POST /email/resend: public, forgot',
  'POST /email/undo: public, login',
  'POST /email/verify: public, login',
  'POST /email: user, login',
  'POST /invitations/accept: public, register',
  'POST /login: public, login',
  'POST /logout: public, logout',
  'POST /oauth/introspect: public, none',
  'POST /oauth/revoke: public, logout',
  'POST /oauth/token: public, refresh',
  'POST /password/forgot: public, forgot',
  'POST /password/reset: public, login',
  'POST /password: user, login',
  'POST /refresh: public, refresh',
  'POST /register: public, register',
]

async function registeredRoutes(): Promise<string[]> {
  const found: string[] = []
  const app = createApp(t.deps)
  app.addHook('onRoute', ({ method, url, config }) => {
    for (const each of [method].flat()) {
      if (each !== 'HEAD') found.push(`${each} ${url}: ${config?.access}, ${limitOf(config)}`)
    }
  })
  await app.ready()
  await app.close()
  return found.toSorted()
}

function limitOf(config: FastifyContextConfig | undefined): string {
  const limit = config?.limit
  if (typeof limit === 'string' || limit === undefined) return String(limit)
  return 'none' in limit ? 'none' : limit.name
}

test('every route is in the table, with who may call it and what limits it', async () => {
  expect(await registeredRoutes()).toEqual(ROUTES)
})

/** What a request to each limited route looks like that gets as far as its work, and which counters it takes from. */
interface Limited {
  takes: string[]
  request: (user: SignedUp) => InjectOptions
}
const bearer = ({ accessToken }: SignedUp) => ({ authorization: `Bearer ${accessToken}` })
const json = (payload: unknown) => ({
  headers: { 'content-type': 'application/json' },
  payload: JSON.stringify(payload),
})
const LIMITED: Record<string, Limited> = {
  'POST /login': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ email, password }) => json({ email, password }),
  },
  'POST /register': {
    takes: ['register_per_hour'],
    request: ({ password }) => json({ email: `${crypto.randomUUID()}@example.com`, password }),
  },
  'POST /refresh': { takes: ['refresh_per_minute'], request: ({ refreshToken }) => withCookie(refreshToken) },
  'POST /logout': { takes: ['logout_per_minute'], request: ({ refreshToken }) => withCookie(refreshToken) },
  'POST /oauth/token': {
    takes: ['refresh_per_minute'],
    request: ({ refreshToken }) => form({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: 'web' }),
  },
  'POST /oauth/revoke': {
    takes: ['logout_per_minute'],
    request: ({ accessToken }) => form({ token: accessToken, client_id: 'web' }),
  },
  'POST /password': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: (user) => {
      const { headers, ...rest } = json({ current_password: user.password, new_password: `${user.password} still` })
      return { ...rest, headers: { ...headers, ...bearer(user) } }
    },
  },
  'POST /password/forgot': { takes: ['forgot_per_hour'], request: ({ email }) => json({ email }) },
  'POST /email/resend': { takes: ['forgot_per_hour'], request: ({ email }) => json({ email }) },
  'POST /email/verify': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ email, password }) => json({ email, code: '12345678', password }),
  },
  'POST /password/reset': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ email }) => json({ email, code: '12345678', new_password: 'four louder otters sing' }),
  },
  'POST /email': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: (user) => {
      const { headers, ...rest } = json({
        current_password: user.password,
        email: `${crypto.randomUUID()}@example.com`,
      })
      return { ...rest, headers: { ...headers, ...bearer(user) } }
    },
  },
  'POST /email/confirm': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: () => json({ token: 'no link of ours' }),
  },
  'POST /email/undo': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: () => json({ token: 'no link of ours' }),
  },
  'POST /invitations/accept': {
    takes: ['register_per_hour'],
    request: ({ password }) => json({ token: 'no link of ours', password }),
  },
  'GET /me': { takes: ['account_per_minute'], request: (user) => ({ headers: bearer(user) }) },
  'GET /sessions': { takes: ['account_per_minute'], request: (user) => ({ headers: bearer(user) }) },
  'DELETE /sessions': { takes: ['account_per_minute'], request: (user) => ({ headers: bearer(user) }) },
  'GET /account': { takes: ['account_per_minute'], request: ({ refreshToken }) => withCookie(refreshToken) },
  'GET /account/sign-in': { takes: ['account_per_minute'], request: ({ refreshToken }) => withCookie(refreshToken) },
  'GET /account/password': { takes: ['account_per_minute'], request: ({ refreshToken }) => withCookie(refreshToken) },
  'POST /account': {
    takes: ['account_per_minute'],
    request: ({ refreshToken }) => form({ others: 'yes' }, refreshToken),
  },
  'POST /account/sign-in': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ email, password }) => form({ email, password }),
  },
  'POST /account/register': {
    takes: ['login_per_hour', 'login_per_minute', 'register_per_hour'],
    request: ({ password }) => form({ email: `${crypto.randomUUID()}@example.com`, password }),
  },
  'GET /account/change-email': {
    takes: ['account_per_minute'],
    request: ({ refreshToken }) => withCookie(refreshToken),
  },
  'POST /account/change-email': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ password, refreshToken }) =>
      form({ email: `${crypto.randomUUID()}@example.com`, current_password: password }, refreshToken),
  },
  'POST /account/email': { takes: ['login_per_hour', 'login_per_minute'], request: () => form({ token: 'none' }) },
  'POST /account/undo': { takes: ['login_per_hour', 'login_per_minute'], request: () => form({ token: 'none' }) },
  'POST /account/invitation': {
    takes: ['register_per_hour'],
    request: ({ password }) => form({ token: 'none', password }),
  },
  'POST /account/forgot': { takes: ['forgot_per_hour'], request: ({ email }) => form({ email }) },
  'POST /account/resend': { takes: ['forgot_per_hour'], request: ({ email }) => form({ email }) },
  'POST /account/reset': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ password }) => form({ token: 'none', password }),
  },
  'POST /account/verify': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ password }) => form({ token: 'none', password }),
  },
  'POST /account/sign-out': { takes: ['logout_per_minute'], request: ({ refreshToken }) => form({}, refreshToken) },
  'POST /account/password': {
    takes: ['login_per_hour', 'login_per_minute'],
    request: ({ password, refreshToken }) =>
      form({ current_password: password, new_password: `${password} still` }, refreshToken),
  },
  'DELETE /sessions/:id': { takes: ['account_per_minute'], request: (user) => ({ headers: bearer(user) }) },
}

/** As a page of the issuer's sends it. */
function form(fields: Record<string, string>, token?: string): InjectOptions {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
  const cookie = token === undefined ? {} : { cookie: `__Host-refresh_token=${token}` }
  return { headers: { ...headers, ...cookie }, payload: new URLSearchParams(fields).toString() }
}

function withCookie(token: string): InjectOptions {
  return { headers: { cookie: `__Host-refresh_token=${token}` } }
}

/** What fetch, forms and images can send without asking first. */
const FOREIGN_REQUESTS: Record<string, string | undefined>[] = [
  { origin: FOREIGN, 'sec-fetch-site': 'cross-site' },
  { origin: FOREIGN, 'content-type': 'text/plain' },
  { origin: FOREIGN, 'content-type': undefined },
  { origin: 'null', 'sec-fetch-site': 'cross-site' },
  { origin: undefined, 'sec-fetch-site': 'cross-site' },
]

/** As the issuer's own page sends it, unless the headers say otherwise. */
function send(route: string, options: InjectOptions, headers: Record<string, string | undefined> = {}) {
  const [method, pattern] = route.split(' ') as ['GET', string]
  const all = { ...options.headers, origin: new URL(t.config.ISSUER).origin, ...headers }
  const stated = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  return t.inject({
    ...options,
    remoteAddress: address,
    method,
    url: pattern.replace(':id', crypto.randomUUID()),
    headers: stated,
  })
}

test('nothing with a limit is missing below', () => {
  const limited = ROUTES.filter((route) => !route.endsWith('none')).map((route) => route.split(':').slice(0, -1))
  expect(Object.keys(LIMITED).toSorted()).toEqual(limited.map((parts) => parts.join(':')).toSorted())
})

describe.each(Object.entries(LIMITED))('%s', (route, { takes, request }) => {
  const isPage = route.includes(' /account')
  const isOAuth = route.includes(' /oauth')
  test('is counted, and refused over the limit before anything else is done', async () => {
    const options = request(user)
    const answer = await send(route, options)
    expect(answer.statusCode).toBeLessThan(405)
    expect(Object.keys(await counted()).toSorted()).toEqual(takes)
    const answers: Awaited<ReturnType<typeof send>>[] = []
    // Refreshes with one token are retries, of which there may be as many again, and whose limit is not stated.
    for (let sent = 0; sent < 7; sent++) answers.push(await send(route, options))
    const [limit = ''] = takes.at(-1)?.split('_') ?? []
    const violated = limit === 'refresh' ? [] : [`${limit}-ip`]
    for (const refused of answers.slice(-2)) {
      expect(refused.statusCode).toBe(429)
      if (isOAuth && limit === 'refresh') expect(refused.headers.ratelimit).toBeUndefined()
      else if (isPage || isOAuth) expect(refused.headers.ratelimit).toContain(`"${limit}-ip"`)
      else expect(refused.json()['violated-policies']).toEqual(violated)
    }
  })

  test('counts no request that a page on another site has its visitor send', async () => {
    const { authorization: _no, ...headers } = { ...request(user).headers } as Record<string, string>
    const options = { ...request(user), headers }
    // Whoever comes from elsewhere may see a page, as somebody who is not signed in.
    const expected = isPage && route.startsWith('GET') ? [200, 303] : [401, 403, 415]
    for (const stated of FOREIGN_REQUESTS) {
      for (let sent = 0; sent < 4; sent++) expect((await send(route, options, stated)).statusCode).toBeOneOf(expected)
    }
    expect(await counted()).toEqual({})
    expect((await send(route, request(user))).statusCode).toBeOneOf([200, 201, 202, 204, 303, 400, 404])
  })
})

test('where a token is optional, one that is sent is counted once, and before it is looked up', async () => {
  const { headers, ...rest } = json({ token: 'no link of ours' })
  const confirm = (token: string) =>
    send('POST /email/confirm', { ...rest, headers: { ...headers, authorization: `Bearer ${token}` } })
  expect((await confirm(user.accessToken)).statusCode).toBe(400)
  expect(await counted()).toEqual({ login_per_hour: 1, login_per_minute: 1 })
  const statuses: number[] = []
  for (let sent = 0; sent < 3; sent++) statuses.push((await confirm('nonsense')).statusCode)
  expect(statuses).toEqual([401, 401, 429])
})

test.each([
  'POST /login',
  'POST /register',
  'POST /refresh',
  'POST /logout',
  'POST /password/forgot',
  'POST /password/reset',
  'POST /email/resend',
  'POST /email/verify',
  'POST /email/confirm',
  'POST /email/undo',
  'POST /invitations/accept',
])('%s counts no request of a page that is let in but whose cookie the browser would keep back', async (route) => {
  const options = LIMITED[route]?.request(user) ?? {}
  for (let sent = 0; sent < 4; sent++) {
    const answer = await send(route, options, { origin: PAGE, 'sec-fetch-site': 'cross-site' })
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'origin_not_allowed'])
    expect(answer.json().detail).toContain('keeps no cookie')
  }
  expect(await counted()).toEqual({})
})

test('a page’s request is judged by the client that it acts for', async () => {
  const view = { origin: WEB_VIEW, 'sec-fetch-site': 'cross-site' }
  const { email, password } = user
  const native = { email, password, client_id: 'native' }
  const signedIn = await send('POST /login', json(native), view)
  expect(signedIn.statusCode).toBe(200)
  expect(signedIn.headers['access-control-allow-origin']).toBe(WEB_VIEW)
  const { refresh_token } = signedIn.json<{ refresh_token: string }>()
  const register = LIMITED['POST /register']?.request(user) ?? {}
  expect((await send('POST /register', register, view)).statusCode).toBe(201)
  expect((await send('POST /refresh', json({ refresh_token }), view)).statusCode).toBe(200)
  expect((await send('POST /refresh', json({}), view)).statusCode).toBe(401)
  expect((await send('POST /logout', json({}), view)).statusCode).toBe(204)

  const refused = [
    await send('POST /login', json({ email, password }), view),
    await send('POST /login', json(native), { origin: PAGE }),
    await send('POST /login', json(native)),
    await send('POST /refresh', withCookie(user.refreshToken), view),
    await send('POST /refresh', json({ refresh_token }), { origin: PAGE }),
    await send('POST /logout', withCookie(user.refreshToken), view),
  ]
  for (const answer of refused) expect([answer.statusCode, answer.json().code]).toEqual([403, 'origin_not_allowed'])
})
