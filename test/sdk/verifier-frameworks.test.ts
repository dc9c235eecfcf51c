import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import express from 'express'
import Fastify, { type FastifyContextConfig, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { describe, expect, test } from 'vitest'
import { bearerAuth as expressAuth } from '../../sdk/verifier/src/express.ts'
import { bearerAuth as fastifyAuth, type RouteAuth, requires } from '../../sdk/verifier/src/fastify.ts'
import { bearerAuth as fetchAuth } from '../../sdk/verifier/src/fetch.ts'
import { createVerifier, requireScope, type VerificationError, type Verifier } from '../../sdk/verifier/src/index.ts'
import { AUDIENCE, createMint } from '../../sdk/verifier/vectors/mint.ts'
import { byStranger } from '../../sdk/verifier/vectors/sign.ts'
import { atOnce } from '../support/at-once.ts'
import { first } from './verifier-support.ts'

const issuer = 'https://issuer.example'
const mint = createMint(issuer)
const usual = mint.withHeader({})
const writer = mint.withClaims({ scope: 'orders:read orders:write', roles: ['clerk', 'admin'] })
const forged = mint.withHeader({}, byStranger)
const verify = createVerifier({ issuer, audience: AUDIENCE, jwks: { keys: [first] } })
/** Of an issuer that is not there. */
const helpless = createVerifier({ issuer, audience: AUDIENCE, fetch: () => Promise.reject(new Error('down')) })

interface Service extends AsyncDisposable {
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Response>
  /** What was handed out for the log. */
  refused: VerificationError[]
  port: number
}

async function serve(listener: RequestListener, refused: VerificationError[]): Promise<Service> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    refused,
    port,
    get: (path, headers = {}, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method, headers }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Routes of other files of this program ask for `access`, which has no meaning here. */
const auth = (value?: unknown): FastifyContextConfig => ({ auth: value as RouteAuth }) as FastifyContextConfig

async function fastifyService(verifier: Verifier): Promise<Service> {
  const refused: VerificationError[] = []
  const app = Fastify()
  app.addHook('onError', async (_request, _reply, error) => void refused.push(error.cause as VerificationError))
  await app.register(fastifyAuth, { verify: verifier })
  app.get('/public', { config: auth('public') }, async () => ({ ok: true }))
  app.get('/orders', async (request) => ({ sub: request.claims.sub }))
  app.post('/orders', { config: auth({ scope: 'orders:write' }) }, async () => ({ ok: true }))
  app.post('/admin', { config: auth({ role: 'admin' }) }, async () => ({ ok: true }))
  await app.ready()
  return await serve((request, response) => app.routing(request, response), refused)
}

async function expressService(verifier: Verifier): Promise<Service> {
  const refused: VerificationError[] = []
  const onRefused = (error: VerificationError): void => void refused.push(error)
  const app = express()
  app.get('/public', (_request, response) => void response.json({ ok: true }))
  app.use(expressAuth(verifier, { onRefused }))
  app.get('/orders', (request, response) => void response.json({ sub: request.claims.sub }))
  const ok: express.RequestHandler = (_request, response) => void response.json({ ok: true })
  app.post('/orders', expressAuth(verifier, { scope: 'orders:write', onRefused }), ok)
  app.post('/admin', expressAuth(verifier, { role: 'admin', onRefused }), ok)
  return await serve(app, refused)
}

/** Handlers of `Request`, over a real connection. */
async function fetchService(verifier: Verifier): Promise<Service> {
  const refused: VerificationError[] = []
  const onRefused = (error: VerificationError): void => void refused.push(error)
  const routes: Record<string, (request: Request) => Response | Promise<Response>> = {
    'GET /public': () => Response.json({ ok: true }),
    'GET /orders': fetchAuth(verifier, (_request, claims) => Response.json({ sub: claims.sub }), { onRefused }),
    'POST /orders': fetchAuth(verifier, () => Response.json({ ok: true }), { scope: 'orders:write', onRefused }),
    'POST /admin': fetchAuth(verifier, () => Response.json({ ok: true }), { role: 'admin', onRefused }),
  }
  return await serve((request, response) => {
    const headers = new Headers()
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      headers.append(request.rawHeaders[at] ?? '', request.rawHeaders[at + 1] ?? '')
    }
    const { method = '', url } = request
    const handler = routes[`${method} ${url}`] ?? (() => new Response(null, { status: 404 }))
    void (async () => {
      const answer = await handler(new Request(`http://localhost${url}`, { method, headers }))
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
    })()
  }, refused)
}

describe('a listener for refusals that fails', () => {
  const failing = [
    [
      'throws',
      () => {
        throw new Error('the log is full')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('the log is full')
      },
    ],
  ] as const

  test.each(failing)('in Express, it %s: the error handler of the application hears of it', async (_how, onRefused) => {
    const app = express()
    app.use(expressAuth(verify, { onRefused }))
    const seen: string[] = []
    const handler: express.ErrorRequestHandler = (error: Error, _request, response, _next) => {
      seen.push(error.message)
      response.status(500).end()
    }
    app.use(handler)
    await using service = await serve(app, [])
    expect((await service.get('/orders')).status).toBe(500)
    expect(seen).toEqual(['the log is full'])
  })

  test.each(failing)('in a handler of Request, it %s: whoever calls that hears of it', async (_how, onRefused) => {
    const handler = fetchAuth(verify, () => new Response(), { onRefused })
    await expect(handler(new Request('http://localhost/orders'))).rejects.toThrow('the log is full')
  })
})

describe.each([
  ['Fastify', fastifyService],
  ['Express', expressService],
  ['fetch', fetchService],
])('%s', (_name, start) => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  test('lets a good token through, and everybody where it is public', async () => {
    await using service = await start(verify)
    const answer = await service.get('/orders', bearer(usual))
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ sub: mint.claims.sub })
    expect((await service.get('/orders', { authorization: `bEARER  ${usual}` })).status).toBe(200)
    expect((await service.get('/public')).status).toBe(200)
    expect((await service.get('/public', bearer(forged))).status).toBe(200)
    expect((await service.get('/nowhere', bearer(usual))).status).toBe(404)
  })

  test.each<[string, Record<string, string>]>([
    ['nothing', {}],
    ['another scheme', { authorization: 'Basic YTpi' }],
    ['a scheme that only begins so', { authorization: `Bearerer ${usual}` }],
    ['a token without a scheme', { authorization: usual }],
    ['a cookie', { cookie: `access_token=${usual}; authorization=Bearer ${usual}` }],
    ['another header', { 'x-authorization': `Bearer ${usual}` }],
  ])('%s is no token: 401 without an error code', async (_what, headers) => {
    await using service = await start(verify)
    const answer = await service.get('/orders', headers)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe(`Bearer realm="${issuer}"`)
    expect(service.refused.map(({ check }) => check)).toEqual(['missing'])
  })

  test('a token in the query is no token', async () => {
    await using service = await start(verify)
    expect((await service.get(`/orders?access_token=${usual}`)).status).toBeGreaterThanOrEqual(401)
  })

  test.each<[string, string, string]>([
    ['forged', `Bearer ${forged}`, 'signature'],
    ['expired', `Bearer ${mint.withClaims({ exp: 1 })}`, 'expired'],
    ['for another service', `Bearer ${mint.withClaims({ aud: 'billing' })}`, 'audience'],
    ['of no form', 'Bearer x', 'malformed'],
    ['empty', 'Bearer', 'malformed'],
    ['two', `Bearer ${usual} ${usual}`, 'malformed'],
    ['very long', `Bearer ${'a'.repeat(12_000)}`, 'malformed'],
  ])('a token that is %s: 401, and only the log hears why', async (_what, authorization, check) => {
    await using service = await start(verify)
    const answer = await service.get('/orders', { authorization })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const body = await answer.text()
    expect(body).toContain('Unauthorized')
    const [error] = service.refused
    expect(error?.check).toBe(check)
    expect(body).not.toContain(error?.message)
    expect(body).not.toContain('claviger')
  })

  test('two Authorization headers are refused, whichever comes first', async () => {
    await using service = await start(verify)
    for (const pair of [
      [usual, forged],
      [forged, usual],
      [usual, usual],
    ]) {
      const lines = pair.map((token) => `Authorization: Bearer ${token}\r\n`).join('')
      expect(
        await rawStatus(service.port, `GET /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines}\r\n`),
      ).toBe(401)
    }
  })

  test('a token that does not suffice: 403, with the scope that would', async () => {
    await using service = await start(verify)
    const scope = await service.get('/orders', bearer(usual), 'POST')
    expect(scope.status).toBe(403)
    expect(scope.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="orders:write"')
    const role = await service.get('/admin', bearer(usual), 'POST')
    expect(role.status).toBe(403)
    expect(role.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
    expect(await role.text()).not.toContain('admin')
    expect((await service.get('/orders', bearer(writer), 'POST')).status).toBe(200)
    expect((await service.get('/admin', bearer(writer), 'POST')).status).toBe(200)
    expect((await service.get('/admin', {}, 'POST')).status).toBe(401)
  })

  test('an issuer that cannot be reached: 503, and nobody is told to sign in again', async () => {
    await using service = await start(helpless)
    const answer = await service.get('/orders', bearer(usual))
    expect(answer.status).toBe(503)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(answer.headers.get('www-authenticate')).toBeNull()
    expect(await answer.text()).not.toContain('down')
    expect((await service.get('/orders')).status, 'no token needs no keys').toBe(401)
  })
})

async function rawStatus(port: number, request: string): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  return Number((await readAll(socket)).split(' ')[1])
}

describe('Fastify', () => {
  async function app(options?: FastifyServerOptions): Promise<FastifyInstance> {
    const instance = Fastify(options)
    await instance.register(fastifyAuth, { verify })
    return instance
  }
  const headers = { authorization: `Bearer ${usual}` }

  test.each<[unknown]>([['Public'], [false], [true], [null], [{ scopes: 'x' }], [{ scope: [] }], [['public']], ['']])(
    'a route with config.auth %j stops the start',
    async (slip) => {
      const instance = await app()
      expect(() => instance.get('/', { config: auth(slip) }, async () => 'x')).toThrow(/GET \/: /)
    },
  )

  test('a slip that was made before the plugin came opens nothing either', async () => {
    const instance = Fastify()
    instance.get('/', { config: auth('Public') }, async () => 'x')
    await instance.register(fastifyAuth, { verify })
    expect((await instance.inject('/')).statusCode).toBe(500)
  })

  test('it covers those below, and leaves those beside alone', async () => {
    const instance = Fastify()
    await instance.register(async (part) => {
      await part.register(fastifyAuth, { verify })
      part.get('/inside', async () => 'x')
      await part.register(async (deeper) => void deeper.get('/deeper', async (request) => request.claims.sub))
    })
    await instance.register(async (beside) => void beside.get('/beside', async () => 'x'))
    expect((await instance.inject('/inside')).statusCode).toBe(401)
    expect((await instance.inject('/deeper')).statusCode).toBe(401)
    expect((await instance.inject({ url: '/deeper', headers })).body).toBe(mint.claims.sub)
    expect((await instance.inject('/beside')).statusCode).toBe(200)
  })

  test('HEAD, and every method that is served, need the token too', async () => {
    const instance = await app()
    instance.all('/', async () => 'x')
    for (const method of ['HEAD', 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
      expect((await instance.inject({ method, url: '/' })).statusCode, method).toBe(401)
      expect((await instance.inject({ method, url: '/', headers })).statusCode, method).toBe(200)
    }
  })

  test('nothing of the body is read for whoever may not call', async () => {
    const instance = await app()
    let parsed = 0
    instance.addContentTypeParser('*', (_request, _payload, done) => {
      parsed++
      done(null)
    })
    instance.post('/', async () => 'x')
    const request = { method: 'POST', url: '/', payload: 'body' } as const
    expect((await instance.inject({ ...request, headers: { 'content-type': 'text/x' } })).statusCode).toBe(401)
    expect(parsed).toBe(0)
    expect((await instance.inject({ ...request, headers: { ...headers, 'content-type': 'text/x' } })).statusCode).toBe(
      200,
    )
  })

  test('claims belong to one request; a public route that reads them fails', async () => {
    const instance = await app()
    instance.get('/public', { config: auth('public') }, async (request) => request.claims.sub)
    instance.get('/mine', async (request) => request.claims.jti)
    expect((await instance.inject({ url: '/public', headers })).statusCode).toBe(500)
    const many = await atOnce(50, async (i) => {
      const token = mint.withClaims({ jti: `token-${i}` })
      return (await instance.inject({ url: '/mine', headers: { authorization: `Bearer ${token}` } })).body
    })
    expect(many).toEqual(Array.from({ length: 50 }, (_, i) => `token-${i}`))
  })

  test('the application’s error handler decides the form, and the challenge stays', async () => {
    const instance = await app()
    instance.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
      reply
        .code(error.statusCode ?? 500)
        .type('application/problem+json')
        .send({ code: 'no' }),
    )
    instance.get('/', async () => 'x')
    instance.get('/write', async (request) => requireScope(request.claims, 'orders:write'))
    instance.get('/clerk', { preHandler: requires({ role: 'chief' }) }, async () => 'x')
    const answer = await instance.inject('/')
    expect(answer).toMatchObject({ statusCode: 401, body: '{"code":"no"}' })
    expect(answer.headers['www-authenticate']).toBe(`Bearer realm="${issuer}"`)
    expect((await instance.inject({ url: '/write', headers })).statusCode).toBe(403)
    expect((await instance.inject({ url: '/clerk', headers })).headers['www-authenticate']).toContain(
      'insufficient_scope',
    )
  })

  test('a scope that a handler asks for is answered with its challenge by Fastify itself', async () => {
    const instance = await app()
    instance.get('/', async (request) => requireScope(request.claims, 'orders:write'))
    const answer = await instance.inject({ url: '/', headers })
    expect(answer.statusCode).toBe(403)
    expect(answer.headers['www-authenticate']).toContain('scope="orders:write"')
  })

  test('the log names the check, and holds no token', async () => {
    const lines: string[] = []
    const instance = await app({
      logger: { level: 'trace', stream: { write: (line: string) => void lines.push(line) } },
    })
    instance.get('/', async () => 'x')
    await instance.inject({ url: '/', headers: { authorization: `Bearer ${forged}` } })
    const log = lines.join('')
    expect(log).toContain('did not sign it')
    expect(log).not.toContain(forged.slice(-40))
  })

  test('an error that is none of ours is no way in', async () => {
    const broken = Object.assign(() => Promise.reject(new TypeError('a bug')), verify) as unknown as Verifier
    const instance = Fastify()
    await instance.register(fastifyAuth, { verify: broken })
    instance.get('/', async () => 'x')
    expect((await instance.inject({ url: '/', headers })).statusCode).toBe(500)
    await expect(Fastify().register(fastifyAuth, {} as { verify: Verifier })).rejects.toThrow(TypeError)
  })
})

describe('Express', () => {
  const headers = { authorization: `Bearer ${usual}` }

  test('a scope that a handler asks for is answered with its challenge by Express itself', async () => {
    const app = express().set('env', 'test')
    app.get('/', expressAuth(verify), async (request, response) => {
      requireScope(request.claims, 'orders:write')
      response.end()
    })
    await using service = await serve(app, [])
    const answer = await service.get('/', headers)
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toContain('scope="orders:write"')
  })

  test('an error that is none of ours goes to the application', async () => {
    const broken = Object.assign(() => Promise.reject(new TypeError('a bug')), verify) as unknown as Verifier
    const app = express().set('env', 'test')
    app.use(expressAuth(broken))
    app.get('/', (_request, response) => void response.end('in'))
    await using service = await serve(app, [])
    const answer = await service.get('/', headers)
    expect(answer.status).toBe(500)
  })

  test('plain node:http, as Connect calls it', async () => {
    const guard = expressAuth(verify)
    await using service = await serve((request, response) => guard(request, response, () => response.end('in')), [])
    expect((await service.get('/', headers)).status).toBe(200)
    expect((await service.get('/')).status).toBe(401)
  })

  test('requirements that make no sense stop the start', () => {
    expect(() => expressAuth(verify, { scopes: 'x' } as object)).toThrow(TypeError)
    expect(() => fetchAuth(verify, () => new Response(), { role: [] })).toThrow(TypeError)
    expect(() => requires({ scope: 'a b' })).toThrow(TypeError)
  })
})

describe('fetch', () => {
  const request = new Request('http://localhost/', { headers: { authorization: `Bearer ${usual}` } })

  test('what the platform passes besides is passed on', async () => {
    const handler = fetchAuth(verify, (_request, claims, env: { name: string }, count: number) =>
      Response.json([claims.client_id, env.name, count]),
    )
    expect(await (await handler(request, { name: 'worker' }, 3)).json()).toEqual(['web', 'worker', 3])
  })

  test('a scope that the handler asks for is answered like one of the route; other errors are not swallowed', async () => {
    const asks = fetchAuth(verify, (_request, claims) => {
      requireScope(claims, 'orders:write')
      return new Response()
    })
    expect((await asks(request)).status).toBe(403)
    const fails = fetchAuth(verify, () => {
      throw new RangeError('a bug')
    })
    await expect(fails(request)).rejects.toThrow(RangeError)
  })
})
