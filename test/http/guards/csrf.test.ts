import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test, vi } from 'vitest'
import {
  bearer,
  COOKIE,
  FOREIGN,
  family,
  granted,
  isLive,
  ownOrigin,
  PAGE,
  post,
  refresh,
  register,
  type Sent,
  type SignedIn,
  signIn,
  startApp,
} from '../../sessions/support.ts'
import { TEST_PASSWORD } from '../../support/app.ts'
import { forFile } from '../../support/for-file.ts'
import { statements } from '../../users/support.ts'

const t = forFile(await startApp())
const user = await register(t)
const own = ownOrigin(t)

/** Kept from case to case: what is refused has changed nothing. */
let browser: SignedIn = await signIn(t, user, 'cookie')

/** Origin, Sec-Fetch-Site, and whether a request with the cookie passes. */
const matrix: [string | undefined, string | undefined, boolean][] = [
  [own, undefined, true],
  [own, 'same-origin', true],
  [own, 'same-site', true],
  [own, 'cross-site', false],
  [own, 'none', false],
  [own, '', false],
  [own, 'Same-Origin', false],
  [PAGE, undefined, true],
  [PAGE, 'same-site', true],
  [PAGE, 'same-origin', true],
  [PAGE, 'cross-site', false],
  [PAGE, 'none', false],
  [undefined, undefined, false],
  [undefined, 'same-origin', false],
  [undefined, 'same-site', false],
  [undefined, 'cross-site', false],
  [undefined, 'none', false],
  ['null', undefined, false],
  ['null', 'same-origin', false],
  ['null', 'cross-site', false],
  ['', undefined, false],
  [FOREIGN, undefined, false],
  [FOREIGN, 'same-origin', false],
  [FOREIGN, 'same-site', false],
  [FOREIGN, 'cross-site', false],
  ['https://evil.app.example.com', 'same-site', false],
  ['http://app.example.com', 'same-site', false],
  ['https://app.example.com:8443', 'same-site', false],
  ['https://app.example.com.evil.example', undefined, false],
  ['https://app.example.com/', undefined, false],
  ['https://APP.example.com', undefined, false],
  [`${own}, ${FOREIGN}`, undefined, false],
  ['http://localhost:3001', undefined, false],
  ['https://localhost:3000', undefined, false],
]

const headersOf = (origin: string | undefined, site: string | undefined) => ({
  ...(origin === undefined ? {} : { origin }),
  ...(site === undefined ? {} : { 'sec-fetch-site': site }),
})

function expectForbidden(answer: LightMyRequestResponse): void {
  expect([answer.statusCode, answer.json().code]).toEqual([403, 'origin_not_allowed'])
  expect(answer.headers['set-cookie']).toBeUndefined()
}

describe('with the cookie as the credential', () => {
  test.each(matrix)('a refresh of Origin %j and Sec-Fetch-Site %j: allowed %j', async (origin, site, allowed) => {
    const before = await family(t, browser.sid)
    const answer = await post(t, '/refresh', { cookie: browser.token, headers: headersOf(origin, site) })
    if (allowed) {
      browser = { ...browser, token: granted(answer) }
      return
    }
    expectForbidden(answer)
    expect(await family(t, browser.sid)).toEqual(before)
  })

  test.each(matrix)('a logout of Origin %j and Sec-Fetch-Site %j: allowed %j', async (origin, site, allowed) => {
    const answer = await post(t, '/logout', { cookie: browser.token, headers: headersOf(origin, site) })
    if (allowed) {
      expect(answer.statusCode).toBe(204)
      expect(await isLive(t, browser.sid)).toBe(false)
      browser = await signIn(t, user, 'cookie')
      return
    }
    expectForbidden(answer)
    expect(await isLive(t, browser.sid)).toBe(true)
  })

  test('a refused page costs no query', async () => {
    const asked = await statements(t, async () => {
      for (const url of ['/refresh', '/logout']) {
        expectForbidden(await post(t, url, { cookie: browser.token, headers: { origin: FOREIGN } }))
      }
    })
    expect(asked).toEqual([])
  })

  test('a form, which needs no preflight, reaches nothing', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      for (const url of ['/refresh', '/logout', '/login']) {
        const answer = await t.inject({
          method: 'POST',
          url,
          headers: { cookie: `${COOKIE}=${browser.token}`, origin: own, 'content-type': type },
          payload: '{}',
        })
        expect(answer.statusCode).toBe(415)
      }
    }
    expect(await isLive(t, browser.sid)).toBe(true)
  })

  test('a cookie of another session beside it does not help a page that is refused', async () => {
    expectForbidden(await post(t, '/refresh', { cookie: 'junk', headers: { origin: FOREIGN } }))
    expectForbidden(await post(t, '/logout', { cookie: '', headers: { origin: FOREIGN } }))
    expectForbidden(await post(t, '/logout', { headers: { origin: FOREIGN } }))
  })
})

describe('with the token in the body', () => {
  test.each([own, PAGE, FOREIGN, 'null', ''])('any page is refused, the issuer’s own too: %j', async (origin) => {
    const native = await signIn(t, user)
    for (const site of ['same-origin', 'cross-site', undefined]) {
      const sent: Sent = { body: { refresh_token: native.token }, headers: headersOf(origin, site) }
      expectForbidden(await post(t, '/refresh', sent))
      expectForbidden(await post(t, '/logout', sent))
      const named = { ...sent, body: { refresh_token: native.token, client_id: 'native' } }
      expectForbidden(await post(t, '/refresh', named))
    }
    expect(await family(t, native.sid)).toMatchObject({ generation: 0, ended_at: null })
    granted(await refresh(t, 'body', native.token))
  })

  test('naming the client of pages does not open the body to pages', async () => {
    const native = await signIn(t, user)
    for (const client_id of ['web', 'nobody']) {
      expectForbidden(
        await post(t, '/refresh', { body: { refresh_token: native.token, client_id }, headers: { origin: own } }),
      )
    }
    expect((await family(t, native.sid)).generation).toBe(0)
  })
})

describe('a sign-in', () => {
  const attempt = (client_id: string | undefined, headers: Record<string, string>) => {
    const { email, password } = user
    return post(t, '/login', { body: { email, password, ...(client_id === undefined ? {} : { client_id }) }, headers })
  }

  test.each(['null', '', FOREIGN, 'http://app.example.com', 'https://x.app.example.com'])(
    'from the page %j is refused before any hash and any query',
    async (origin) => {
      const verify = vi.spyOn(t.deps.hasher, 'verify')
      const asked = await statements(t, async () => {
        expectForbidden(await attempt(undefined, { origin }))
        expectForbidden(await attempt('web', { origin, 'sec-fetch-site': 'same-origin' }))
      })
      expect(verify).not.toHaveBeenCalled()
      expect(asked).toEqual([])
      vi.restoreAllMocks()
    },
  )

  test.each([own, PAGE, FOREIGN, 'null'])('as the native client is refused from the page %j', async (origin) => {
    const verify = vi.spyOn(t.deps.hasher, 'verify')
    expectForbidden(await attempt('native', { origin }))
    expect(verify).not.toHaveBeenCalled()
    vi.restoreAllMocks()
  })

  test('from an allowed page, or from no page at all, is accepted', async () => {
    for (const headers of [{ origin: own }, { origin: PAGE, 'sec-fetch-site': 'same-site' }, {}]) {
      expect((await attempt('web', headers)).statusCode).toBe(200)
    }
    expect((await attempt('native', {})).statusCode).toBe(200)
  })

  test('from no page but across sites is refused', async () => {
    expectForbidden(await attempt('web', { 'sec-fetch-site': 'cross-site' }))
  })

  test('whose cookie the browser would drop is refused, and told why', async () => {
    const lan = 'http://192.168.1.20:5173'
    await using loopback = await startApp({ ALLOWED_ORIGINS: `${lan},http://app.localhost:5173` })
    await using plain = await startApp({ ISSUER: 'http://auth.test', ALLOWED_ORIGINS: 'http://localhost:5173' })
    const body = { email: 'nobody@example.com', password: TEST_PASSWORD }
    const verify = vi.spyOn(loopback.deps.hasher, 'verify')
    const [page, issuer] = [/this page came over plain http/, /the issuer is reached over plain http/]
    for (const [app, origin, why] of [
      [loopback, lan, page],
      [plain, 'http://auth.test', issuer],
      [plain, 'http://localhost:5173', issuer],
    ] as const) {
      const answer = await post(app, '/login', { body, headers: { origin } })
      expectForbidden(answer)
      expect(answer.json().detail).toMatch(why)
    }
    expect(verify).not.toHaveBeenCalled()
    vi.restoreAllMocks()
    // Loopback is secure enough for browsers, and terminals keep what they like.
    for (const [app, headers] of [
      [loopback, { origin: 'http://app.localhost:5173' }],
      [loopback, { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-origin' }],
      [plain, {}],
    ] as const) {
      expect((await post(app, '/login', { body, headers })).statusCode).toBe(401)
    }
  })
})

describe('safe methods', () => {
  test.each(['/login', '/refresh', '/logout', '/register', '/password'])(
    '%s answers GET and HEAD with 405 and changes nothing',
    async (url) => {
      const before = await family(t, browser.sid)
      for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'] as const) {
        const answer = await t.inject({ method, url, headers: { origin: own, cookie: `${COOKIE}=${browser.token}` } })
        expect([answer.statusCode, answer.headers.allow]).toEqual([405, 'POST'])
      }
      expect(await family(t, browser.sid)).toEqual(before)
    },
  )

  test('reading the list of sessions writes nothing', async () => {
    const asked = await statements(t, async () => {
      expect((await bearer(t, browser.accessToken, '/sessions')).statusCode).toBe(200)
      expect((await bearer(t, browser.accessToken)).statusCode).toBe(200)
    })
    expect(new Set(asked)).toEqual(new Set(['SelectQueryNode']))
  })
})

describe('CORS', () => {
  const cors = ({ headers }: LightMyRequestResponse) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')))

  /** One request for each way in which the endpoints of sessions say no, and for each way they say yes. */
  const replies: Record<string, [number, (origin: string) => Promise<LightMyRequestResponse>]> = {
    '401 of a refresh': [401, (origin) => post(t, '/refresh', { cookie: 'junk', headers: { origin } })],
    '401 of a bearer endpoint': [401, (origin) => t.inject({ url: '/sessions', headers: { origin } })],
    '403 of a page that fetch metadata contradicts': [
      403,
      (origin) => post(t, '/refresh', { cookie: 'junk', headers: { origin, 'sec-fetch-site': 'cross-site' } }),
    ],
    '404 of a session': [
      404,
      (origin) =>
        t.inject({
          method: 'DELETE',
          url: '/sessions/01980000-0000-7000-8000-000000000000',
          headers: { origin, authorization: `Bearer ${browser.accessToken}` },
        }),
    ],
    '404 of no path': [404, (origin) => t.inject({ url: '/nothing', headers: { origin } })],
    '400 of a body': [400, (origin) => post(t, '/refresh', { body: { x: 1 }, headers: { origin } })],
    '405 of a method': [405, (origin) => t.inject({ url: '/logout', headers: { origin } })],
    '415 of a media type': [
      415,
      (origin) =>
        t.inject({ method: 'POST', url: '/login', headers: { origin, 'content-type': 'text/plain' }, payload: 'x' }),
    ],
    '204 of a logout': [204, (origin) => post(t, '/logout', { headers: { origin } })],
    '200 of a list': [
      200,
      (origin) => t.inject({ url: '/sessions', headers: { origin, authorization: `Bearer ${browser.accessToken}` } }),
    ],
  }

  test.each(Object.keys(replies))('an allowed page may read the %s', async (name) => {
    const [status, send] = replies[name] ?? []
    for (const origin of [own, PAGE]) {
      const answer = await send?.(origin)
      if (!answer) throw new Error('no such case')
      expect(answer.statusCode).toBe(status)
      expect(cors(answer)).toEqual({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers':
          'retry-after, ratelimit, ratelimit-policy, x-request-id, dpop-nonce, www-authenticate, date',
      })
      expect(answer.headers.vary).toBe('Origin')
    }
  })

  test.each(Object.keys(replies))('no other page is told anything by the %s', async (name) => {
    for (const origin of [
      FOREIGN,
      'null',
      'https://app.example.com.evil.example',
      `${PAGE}/`,
      'http://app.example.com',
    ]) {
      const answer = await replies[name]?.[1](origin)
      if (!answer) throw new Error('no such case')
      expect(cors(answer)).toEqual({})
      expect(answer.headers.vary).toBe('Origin')
    }
  })

  test.each([
    ['/refresh', 'POST'],
    ['/logout', 'POST'],
    ['/login', 'POST'],
    ['/me', 'GET'],
    ['/sessions', 'GET, DELETE'],
    ['/sessions/01980000-0000-7000-8000-000000000000', 'DELETE'],
    ['/password', 'POST'],
  ])('a preflight of %s lists what is needed and asks no database', async (url, methods) => {
    const preflight = (origin: string) =>
      t.inject({
        method: 'OPTIONS',
        url,
        headers: {
          origin,
          cookie: `${COOKIE}=${browser.token}`,
          'access-control-request-method': methods.split(', ').at(-1) ?? '',
          'access-control-request-headers': 'content-type, idempotency-key',
        },
      })
    const asked = await statements(t, async () => {
      const answer = await preflight(PAGE)
      expect([answer.statusCode, answer.body]).toEqual([204, ''])
      expect(cors(answer)).toEqual({
        'access-control-allow-origin': PAGE,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': methods,
        'access-control-allow-headers':
          'content-type, authorization, idempotency-key, dpop, traceparent, tracestate, baggage, sentry-trace',
        'access-control-max-age': '600',
      })
      const foreign = await preflight(FOREIGN)
      expect(cors(foreign)).toEqual({})
      expect(foreign.headers.vary).toBe('Origin')
    })
    expect(asked).toEqual([])
  })
})
