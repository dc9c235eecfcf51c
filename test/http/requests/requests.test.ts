import type { FastifyInstance } from 'fastify'
import { describe, expect, test } from 'vitest'
import { Problem } from '../../../src/errors.ts'
import { ALWAYS, createHttpApp, type HttpApp, ORIGIN, request } from '../support.ts'

const calls: string[] = []
const HOST = 'Host: auth.example.com'

const routes = (app: FastifyInstance): void => {
  const answer = async (req: { method: string; url: string }) => {
    calls.push(`${req.method} ${req.url}`)
    return { ok: true }
  }
  app.get('/g', { config: { access: 'public' } }, answer)
  app.post('/login', { config: { access: 'public' } }, answer)
  app.get('/sessions', { config: { access: 'public' } }, answer)
  app.delete('/sessions', { config: { access: 'public' } }, answer)
  app.delete('/sessions/:id', { config: { access: 'public' } }, answer)
  app.get('/livez', { config: { access: 'public' } }, answer)
  app.get('/.well-known/jwks.json', { config: { access: 'public', cors: 'public' } }, async (_request, reply) => {
    return reply.header('cache-control', 'public, max-age=300').send({ keys: [] })
  })
  app.get('/boom', { config: { access: 'public' } }, async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=300').header('set-cookie', 'a=b').header('etag', '"x"')
    throw new Error('the secret detail')
  })
  app.get('/problem', { config: { access: 'public' } }, async () => {
    throw new Problem('too_many_requests', { detail: 'Slow down.', reason: 'cross-site', retryAfter: 1.2 })
  })
  app.get('/outage', { config: { access: 'public' } }, async () => {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  })
  app.get('/refused', { config: { access: 'public' } }, async () => {
    throw new Problem('invalid_grant')
  })
}

const t = await createHttpApp(routes)

describe('every reply', () => {
  test.each<[string, string, string | undefined, number]>([
    ['GET', '/g', undefined, 200],
    ['HEAD', '/g', undefined, 200],
    ['POST', '/login', undefined, 200],
    ['GET', '/login', undefined, 405],
    ['GET', '/nothing', undefined, 404],
    ['POST', '/nothing', 'x', 404],
    ['GET', '/%zz', undefined, 400],
    ['GET', '/sessions/%zz', undefined, 400],
    ['GET', '/g?token=x', undefined, 400],
    ['GET', '/boom', undefined, 500],
    ['GET', '/outage', undefined, 503],
    ['GET', '/problem', undefined, 429],
    ['OPTIONS', '/g', undefined, 405],
    ['POST', '/login', '{', 415],
  ])('%s %s has the security headers', async (method, url, payload, status) => {
    const answer = await t.app.inject({ method: method as 'GET', url, ...(payload ? { payload } : {}) })
    expect(answer.statusCode).toBe(status)
    expect(answer.headers).toMatchObject({ ...ALWAYS, vary: 'Origin', 'cross-origin-resource-policy': 'same-origin' })
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(answer.headers.server).toBeUndefined()
    expect(answer.headers['x-powered-by']).toBeUndefined()
    if (method !== 'HEAD')
      expect(answer.headers['content-type']).toMatch(/^application\/(problem\+)?json; charset=utf-8$/)
    expect(answer.headers['set-cookie']).toBeUndefined()
    if (status >= 400 && method !== 'HEAD') {
      const { instance, ...document } = answer.json<Record<string, unknown>>()
      expect(instance).toBe(answer.headers['x-request-id'])
      expect(document).toMatchObject({
        type: `urn:claviger:problem:${String(document.code)}`,
        status,
        title: expect.any(String),
      })
      expect(answer.headers.etag).toBeUndefined()
      expect(answer.body).not.toMatch(/fastify|FST_|secret detail|cross-site|ECONN|node_modules/i)
    }
  })

  const POST = 'POST /login HTTP/1.1\r\nHost: a\r\n'
  const CHUNKED = `${POST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
  test.each<[string, string, number, string]>([
    ['a header without a colon', 'GET /g HTTP/1.1\r\nHost a\r\n\r\n', 400, 'invalid_request'],
    ['too many headers', `GET /g HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(17000)}\r\n\r\n`, 431, 'headers_too_large'],
    ['a length and chunks', `${POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400, 'invalid_request'],
    ['two lengths', `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400, 'invalid_request'],
    ['a length that is none', `${POST}Content-Length: x\r\n\r\n`, 400, 'invalid_request'],
    ['another transfer coding', `${POST}Transfer-Encoding: gzip\r\n\r\n`, 400, 'invalid_request'],
    ['a chunk that is none', `${CHUNKED}z\r\n`, 400, 'invalid_request'],
    ['an endless chunk extension', `${CHUNKED}1;${'x'.repeat(17000)}`, 413, 'payload_too_large'],
    ['a folded header', 'GET /g HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400, 'invalid_request'],
    ['U+0000 in a header', 'GET /g HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400, 'invalid_request'],
    ['a method that is none', 'G@T /g HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['HTTP/0.9', 'GET /g\r\n\r\n', 400, 'invalid_request'],
    ['HTTP/3', 'GET /g HTTP/3.0\r\nHost: a\r\n\r\n', 400, 'invalid_request'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'invalid_request'],
    [
      'an expectation',
      'GET /g HTTP/1.1\r\nHost: a\r\nExpect: foo\r\nConnection: close\r\n\r\n',
      417,
      'expectation_failed',
    ],
    [
      'an empty expectation',
      'GET /g HTTP/1.1\r\nHost: a\r\nExpect:\r\nConnection: close\r\n\r\n',
      417,
      'expectation_failed',
    ],
    [
      'an expectation of a document',
      'GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\nExpect: foo\r\nConnection: close\r\n\r\n',
      417,
      'expectation_failed',
    ],
    [
      'an expectation, and no path',
      'POST /nothing HTTP/1.1\r\nHost: a\r\nExpect: foo\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}',
      417,
      'expectation_failed',
    ],
  ])('to %s has them too, though Node would write it', async (_name, bytes, status, code) => {
    calls.length = 0
    const text = await t.send(Buffer.from(bytes, 'latin1'))
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
    for (const [name, value] of Object.entries(ALWAYS))
      expect(text.toLowerCase()).toContain(`\r\n${name}: ${value}\r\n`.toLowerCase())
    const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>
    expect(body.code).toBe(code)
    expect(text).toContain(`\r\nx-request-id: ${String(body.instance)}\r\n`)
    expect(calls).toEqual([])
  })

  test.each<[string, string, RegExp]>([
    [
      '100-continue',
      request('GET /g', [HOST, 'Expect: 100-Continue']),
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
    ],
    ['an expectation in HTTP/1.0', `GET /g HTTP/1.0\r\n${HOST}\r\nExpect: foo\r\n\r\n`, /^HTTP\/1\.1 200 /],
    [
      'WebSocket',
      request('GET /g', [
        HOST,
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Key: a',
        'Sec-WebSocket-Version: 13',
      ]),
      /^HTTP\/1\.1 200 /,
    ],
    [
      'HTTP/2 by Upgrade',
      request('GET /g', [HOST, 'Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings']),
      /^HTTP\/1\.1 200 /,
    ],
    ['CONNECT', request('CONNECT auth.example.com:443', [HOST]), /^$/],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^$|^HTTP\/1\.1 400 /],
  ])('nothing that Node offers by itself is taken up: %s', async (_name, bytes, expected) => {
    const text = await t.send(bytes)
    expect(text).toMatch(expected)
    expect(text).not.toMatch(/^HTTP\/1\.1 101 /)
    if (text !== '') expect(text).toContain('\r\nx-content-type-options: nosniff\r\n')
  })

  test('has no HSTS where the issuer is plain http, or where the operator turned it off', async () => {
    await using plain = await createHttpApp(routes, { env: { ISSUER: 'http://localhost:3000' } })
    await using off = await createHttpApp(routes, { env: { HSTS: 'off' } })
    for (const { app } of [plain, off]) {
      expect((await app.inject('/g')).headers['strict-transport-security']).toBeUndefined()
    }
  })

  test('of a route may be cached only if it succeeded', async () => {
    expect((await t.app.inject('/.well-known/jwks.json')).headers['cache-control']).toBe('public, max-age=300')
    expect((await t.app.inject('/boom')).headers['cache-control']).toBe('no-store')
  })
})

describe('problems', () => {
  test('carry detail and Retry-After in whole seconds', async () => {
    const answer = await t.app.inject('/problem')
    expect(answer.headers['retry-after']).toBe('2')
    expect(answer.json().detail).toBe('Slow down.')
    const outage = await t.app.inject('/outage')
    expect(outage.headers['retry-after']).toBe('1')
    expect(outage.json().code).toBe('unavailable')
  })

  test('with status 401 carry a challenge', async () => {
    const answer = await t.app.inject({ url: '/refused', headers: { authorization: 'Bearer x' } })
    expect(answer.statusCode).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="https://auth.example.com"')
  })

  test('that nobody foresaw are logged once, with the stack', async () => {
    t.logs.length = 0
    const answer = await t.app.inject('/boom')
    expect(answer.json().code).toBe('internal')
    const lines = t.logs.filter((line) => JSON.stringify(line).includes('the secret detail'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({ level: 'error', err: { stack: expect.stringContaining('requests.test.ts') } })
  })
})

describe('request ids', () => {
  const ask = async (trusted: string, id: string) => {
    await using other = await createHttpApp(routes, { env: { TRUSTED_PROXIES: trusted } })
    return (await other.app.inject({ url: '/g', headers: { 'x-request-id': id, 'request-id': id } })).headers[
      'x-request-id'
    ]
  }
  test('are ours unless a trusted proxy sent a plain one', async () => {
    expect(await ask('127.0.0.0/8', 'abc-1234.X_')).toBe('abc-1234.X_')
    expect(await ask('10.0.0.0/8', 'abc-1234.X_')).toMatch(/^[0-9a-f-]{36}$/)
    for (const id of ['short', 'a'.repeat(65), 'abc 12345', 'abcdefgh\n', 'äbcdefgh']) {
      expect(await ask('127.0.0.0/8', id)).toMatch(/^[0-9a-f-]{36}$/)
    }
  })
})

describe('targets', () => {
  test.each<[string, string, RegExp]>([
    ['one Host', request('GET /g', [HOST]), /^HTTP\/1\.1 200 /],
    ['two Hosts', request('GET /g', [HOST, 'Host: evil.example']), /^HTTP\/1\.1 400 /],
    ['the same Host twice', request('GET /g', [HOST, HOST]), /^HTTP\/1\.1 400 /],
    ['no Host', request('GET /g', []), /^HTTP\/1\.1 400 /],
    ['an empty Host', request('GET /g', ['Host:']), /^HTTP\/1\.1 400 /],
    ['a Host that is none', request('GET /g', ['Host: a/b']), /^HTTP\/1\.1 400 /],
    ['absolute form', request('GET http://auth.example.com/g', [HOST]), /^HTTP\/1\.1 200 /],
    ['absolute form, upper case', request('GET HTTP://AUTH.example.com/g', [HOST]), /^HTTP\/1\.1 200 /],
    ['absolute form of another host', request('GET http://evil.example/g', [HOST]), /^HTTP\/1\.1 400 /],
    ['absolute form with user', request('GET http://auth.example.com@evil.example/g', [HOST]), /^HTTP\/1\.1 400 /],
    ['another scheme', request('GET ftp://auth.example.com/g', [HOST]), /^HTTP\/1\.1 40[04] /],
    ['an encoded letter', request('GET /%67', [HOST]), /^HTTP\/1\.1 404 /],
    ['an encoded letter in absolute form', request('GET http://auth.example.com/%67', [HOST]), /^HTTP\/1\.1 404 /],
    ['an encoded slash', request('DELETE /sessions%2Fx', [HOST]), /^HTTP\/1\.1 404 /],
    ['an encoded id', request('DELETE /sessions/%41', [HOST]), /^HTTP\/1\.1 404 /],
    ['a fragment', request('GET /g#x', [HOST]), /^HTTP\/1\.1 404 /],
    ['a backslash', request('GET \\g', [HOST]), /^HTTP\/1\.1 40[04] /],
    ['dots', request('GET /x/../g', [HOST]), /^HTTP\/1\.1 404 /],
    ['two slashes', request('GET //g', [HOST]), /^HTTP\/1\.1 404 /],
    ['a slash at the end', request('GET /g/', [HOST]), /^HTTP\/1\.1 404 /],
    ['a semicolon', request('GET /g;x', [HOST]), /^HTTP\/1\.1 404 /],
    ['an asterisk', request('OPTIONS *', [HOST]), /^HTTP\/1\.1 404 /],
  ])('%s', async (_name, bytes, status) => {
    calls.length = 0
    const text = await t.send(bytes)
    expect(text).toMatch(status)
    expect(calls).toHaveLength(text.startsWith('HTTP/1.1 200') ? 1 : 0)
    if (!text.startsWith('HTTP/1.1 200')) expect(text).toContain('application/problem+json')
  })

  test('HTTP/1.0 without Host passes: probes of load balancers look so', async () => {
    expect(await t.send('GET /livez HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('hosts outside the list are misdirected, except for probes', async () => {
    await using listed = await createHttpApp(routes, { env: { ALLOWED_HOSTS: 'auth.example.com,auth.internal:8080' } })
    const status = async (url: string, host: string) => (await listed.app.inject({ url, headers: { host } })).statusCode
    expect(await status('/g', 'auth.example.com')).toBe(200)
    expect(await status('/g', 'AUTH.example.com')).toBe(200)
    expect(await status('/g', 'auth.internal:8080')).toBe(200)
    for (const host of ['auth.internal', 'evil.example', 'auth.example.com.evil.example', 'auth.example.com:443']) {
      expect(await status('/g', host)).toBe(421)
    }
    expect(await status('/livez', '10.1.2.3:3000')).toBe(200)
  })

  test('plain http behind a TLS proxy is refused and not redirected', async () => {
    await using proxied = await createHttpApp(routes, { env: { TRUSTED_PROXIES: '127.0.0.1' } })
    const ask = async (app: FastifyInstance, url: string, proto: string) =>
      (await app.inject({ method: 'GET', url, headers: { 'x-forwarded-proto': proto } })).statusCode
    expect(await ask(proxied.app, '/g', 'http')).toBe(403)
    expect(await ask(proxied.app, '/g', 'https, http')).toBe(403)
    expect(await ask(proxied.app, '/g', 'https')).toBe(200)
    expect(await ask(proxied.app, '/livez', 'http')).toBe(200)
    expect((await proxied.app.inject({ url: '/g', headers: { 'x-forwarded-proto': 'http' } })).json().code).toBe(
      'tls_required',
    )
    // From a peer that is not trusted the header means nothing.
    expect(await ask(t.app, '/g', 'http')).toBe(200)
  })

  test.each([
    'token',
    'password',
    'Refresh_Token',
    'access_token',
    'code',
    'client_secret',
    'pass%77ord',
    'new_password',
    'id_token',
  ])('a URL with %s is refused and not logged', async (name) => {
    t.logs.length = 0
    calls.length = 0
    const answer = await t.app.inject({ method: 'POST', url: `/login?x=1&${name}=hunter2` })
    expect(answer.statusCode).toBe(400)
    expect(answer.body + JSON.stringify(t.logs)).not.toContain('hunter2')
    expect(calls).toEqual([])
  })

  test('parameters are not repeated', async () => {
    expect((await t.app.inject('/g?a=1&b=2')).statusCode).toBe(200)
    expect((await t.app.inject('/g?a=1&a=1')).statusCode).toBe(400)
    expect((await t.app.inject('/g?a=1&%61=2')).statusCode).toBe(400)
  })
})

describe('methods', () => {
  test.each<[string, string, string]>([
    ['GET', '/login', 'POST'],
    ['HEAD', '/login', 'POST'],
    ['PUT', '/login', 'POST'],
    ['OPTIONS', '/login', 'POST'],
    ['POST', '/sessions', 'GET, HEAD, DELETE'],
    ['GET', '/sessions/abc', 'DELETE'],
    ['POST', '/.well-known/jwks.json', 'GET, HEAD'],
    ['TRACE', '/g', 'GET, HEAD'],
    ['PROPFIND', '/g', 'GET, HEAD'],
    ['QUERY', '/g', 'GET, HEAD'],
  ])('%s %s is answered 405 with Allow: %s', async (method, path, allow) => {
    calls.length = 0
    const text = await t.send(request(`${method} ${path}?x=1`))
    expect(text).toMatch(/^HTTP\/1\.1 405 /)
    expect(text).toContain(`\r\nallow: ${allow}\r\n`)
    expect(calls).toEqual([])
  })

  test('a path of nobody is answered 404, whatever the method and the body', async () => {
    for (const path of ['/nothing', '/sessions/a/b', '/login/', '/SESSIONS']) {
      for (const method of ['GET', 'POST', 'DELETE', 'TRACE', 'PROPFIND']) {
        const text = await t.send(
          request(`${method} ${path}`, [HOST, 'Content-Type: text/plain', 'Content-Length: 1'], 'x'),
        )
        expect(text).toMatch(/^HTTP\/1\.1 404 /)
      }
    }
  })

  test('no header and no parameter overrides the method', async () => {
    calls.length = 0
    const headers = { 'x-http-method-override': 'DELETE', 'x-method-override': 'DELETE' }
    await t.app.inject({ method: 'GET', url: '/sessions?_method=DELETE', headers })
    expect(calls).toEqual(['GET /sessions?_method=DELETE'])
  })

  test('CONNECT and unknown verbs reach nothing', async () => {
    calls.length = 0
    await t.send(request('CONNECT auth.example.com:443'))
    expect(await t.send(request('FOO /g'))).toMatch(/^HTTP\/1\.1 400 /)
    expect(calls).toEqual([])
  })
})

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
        'access-control-expose-headers': 'retry-after, x-request-id',
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
      await using app = await createHttpApp(routes)
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
      await using app = await createHttpApp(routes)
      await ask(app, 'OPTIONS', '/login', ORIGIN)
      await ask(app, 'OPTIONS', '/.well-known/jwks.json', 'https://evil.example')
      await ask(app, 'OPTIONS', '/nothing', 'https://evil.example')
      // Browsers ask first. Whoever else sends an Origin may write anything there.
      await ask(app, 'POST', '/login', 'https://evil.example')
      expect(reported(app)).toEqual([])
    })

    test('fills neither memory nor log, whatever strangers call themselves', async () => {
      await using app = await createHttpApp(routes)
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

test('slow requests are answered 408 with the headers of any other reply', async () => {
  const server = { requestTimeout: 300, headersTimeout: 300, connectionsCheckingInterval: 50 }
  await using slow = await createHttpApp(routes, { server })
  const beginnings = [
    'GET /g HTTP/1.1\r\nHost: a\r\nX-Slow: ',
    'POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{',
  ]
  for (const bytes of beginnings) {
    const text = await slow.send(bytes)
    expect(text).toMatch(/^HTTP\/1\.1 408 /)
    expect(text).toContain('"code":"request_timeout"')
    expect(text).toContain('x-content-type-options: nosniff')
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  }
})
