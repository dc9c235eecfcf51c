import { describe, expect, test } from 'vitest'
import { createHttpApp, type HttpApp, ORIGIN } from '../support.ts'
import { calls, surface } from '../surface.ts'

const t = await createHttpApp(surface)

describe('CORS', () => {
  const cors = (headers: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')))
  const preflight = (url: string, origin: string, method = 'POST') =>
    t.app.inject({ method: 'OPTIONS', url, headers: { origin, 'access-control-request-method': method } })

  test('answers an allowed origin', async () => {
    for (const [method, url] of [
      ['GET', '/g'],
      ['GET', '/nothing'],
      ['GET', '/boom'],
      ['GET', '/login'],
    ] as const) {
      const answer = await t.app.inject({ method, url, headers: { origin: ORIGIN } })
      expect(cors(answer.headers)).toEqual({
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers':
          'retry-after, ratelimit, ratelimit-policy, x-request-id, dpop-nonce, www-authenticate, date',
      })
      expect(answer.headers.vary).toBe('Origin')
    }
  })

  test('answers its preflight with what is needed', async () => {
    calls.length = 0
    const answer = await preflight('/sessions', ORIGIN, 'DELETE')
    expect(answer.statusCode).toBe(204)
    expect(answer.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      vary: 'Origin',
      'cache-control': 'no-store',
    })
    expect(cors(answer.headers)).toEqual({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, DELETE',
      'access-control-allow-headers':
        'content-type, authorization, idempotency-key, dpop, traceparent, tracestate, baggage, sentry-trace',
      'access-control-max-age': '600',
    })
    expect((await preflight('/sessions/abc', ORIGIN, 'DELETE')).headers['access-control-allow-methods']).toBe('DELETE')
    expect((await preflight('/nothing', ORIGIN)).statusCode).toBe(404)
    expect(calls).toEqual([])
  })

  test.each([
    'https://evil.example',
    'https://app.example.com.evil.example',
    'https://app.example.com:8443',
    'http://app.example.com',
    'https://APP.example.com',
    'https://app.example.com/',
    'https://xapp.example.com',
    'null',
    '*',
    '',
    `${ORIGIN}, ${ORIGIN}`,
  ])('gives %j nothing', async (origin) => {
    const answers = [
      await t.app.inject({ url: '/g', headers: { origin } }),
      await preflight('/login', origin),
      await t.app.inject({ url: '/boom', headers: { origin } }),
    ]
    for (const answer of answers) {
      expect(cors(answer.headers)).toEqual({})
      expect(answer.headers.vary).toBe('Origin')
    }
    expect(answers[1]?.statusCode).toBe(204)
  })

  describe('a page that is refused', () => {
    const REFUSED = 'a page was refused, because its origin is not allowed'
    const reported = (app: HttpApp) =>
      app.logs
        .filter(({ msg }) => msg === REFUSED)
        .map(({ level, origin, allowWith }) => ({ level, origin, allowWith }))
    const ask = (app: HttpApp, method: 'OPTIONS' | 'POST' | 'GET', url: string, origin: string) =>
      app.app.inject({ method, url, headers: { origin, 'access-control-request-method': 'POST' } })

    test('is logged once, with its origin and the setting that would allow it', async () => {
      await using app = await createHttpApp(surface)
      const page = 'http://localhost:5173'
      for (let sent = 0; sent < 3; sent++) await ask(app, 'OPTIONS', '/login', page)
      for (const other of ['capacitor://localhost', 'null']) await ask(app, 'OPTIONS', '/login', other)
      expect(reported(app)).toEqual([
        { level: 'warn', origin: page, allowWith: 'ALLOWED_ORIGINS; NATIVE_ORIGINS for a web view' },
        { level: 'warn', origin: 'capacitor://localhost', allowWith: 'NATIVE_ORIGINS' },
        { level: 'warn', origin: 'null', allowWith: expect.stringContaining('serve the page over http') },
      ])
    })

    test('is not logged where it was not refused, or asked for nothing that there is', async () => {
      await using app = await createHttpApp(surface)
      await ask(app, 'OPTIONS', '/login', ORIGIN)
      await ask(app, 'OPTIONS', '/.well-known/jwks.json', 'https://evil.example')
      await ask(app, 'OPTIONS', '/nothing', 'https://evil.example')
      // Browsers ask first. Whoever else sends an Origin may write anything there.
      await ask(app, 'POST', '/login', 'https://evil.example')
      expect(reported(app)).toEqual([])
    })

    test('fills neither memory nor log, whatever strangers call themselves', async () => {
      await using app = await createHttpApp(surface)
      await ask(app, 'OPTIONS', '/login', `https://${'x'.repeat(9000)}.example/secret`)
      for (let i = 0; i < 150; i++) await ask(app, 'OPTIONS', '/login', `https://${i}.example`)
      expect(reported(app)).toHaveLength(100)
      expect(reported(app)[0]).toMatchObject({ origin: 'not an origin' })
    })
  })

  test('opens public key material to every page, without credentials', async () => {
    for (const origin of [ORIGIN, 'https://evil.example', 'null']) {
      const answer = await t.app.inject({ url: '/.well-known/jwks.json', headers: { origin } })
      expect(cors(answer.headers)).toEqual({ 'access-control-allow-origin': '*' })
      expect(answer.headers['cross-origin-resource-policy']).toBe('cross-origin')
      const asked = await preflight('/.well-known/jwks.json', origin, 'GET')
      expect(asked.statusCode).toBe(204)
      expect(asked.headers['access-control-allow-origin']).toBe('*')
      expect(asked.headers['access-control-allow-credentials']).toBeUndefined()
    }
  })
})
