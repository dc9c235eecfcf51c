import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify, { type FastifyContextConfig } from 'fastify'
import { describe, expect, test } from 'vitest'
import { bearerAuth as expressAuth } from '../../sdk/verifier/src/express.ts'
import { bearerAuth as fastifyAuth, type RouteAuth } from '../../sdk/verifier/src/fastify.ts'
import { bearerAuth as fetchAuth } from '../../sdk/verifier/src/fetch.ts'
import { requireScope, type Verifier } from '../../sdk/verifier/src/index.ts'
import { client, freshProof, issuer, mint, ORIGIN, settings, verifierWith } from './dpop-support.ts'

const ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256"'
const unbound = mint.withHeader({})
const dpop = (proof: string | string[], token = client.token) => ({ authorization: `DPoP ${token}`, dpop: proof })

interface Answer {
  status: number
  challenge: string | undefined
}

interface Service extends AsyncDisposable {
  get(path: string, headers?: Record<string, string | string[]>, method?: string): Promise<Answer>
}

async function serve(listener: RequestListener): Promise<Service> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    get: async (path, headers = {}, method = 'GET') => {
      const asked = httpRequest({ host: '127.0.0.1', port, path, method, headers }).end()
      const [answer] = (await once(asked, 'response')) as [IncomingMessage]
      answer.resume()
      return { status: answer.statusCode ?? 0, challenge: answer.headers['www-authenticate'] }
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const auth = (value: RouteAuth): FastifyContextConfig => ({ auth: value }) as FastifyContextConfig

/** `/orders` takes both, `/money` bound tokens alone. */
async function fastifyService(verify: Verifier): Promise<Service> {
  const app = Fastify()
  await app.register(fastifyAuth, { verify })
  app.get('/orders', async () => 'x')
  app.post('/orders', { config: auth({ scope: 'orders:write' }) }, async () => 'x')
  app.get('/money', { config: auth({ dpop: 'required' }) }, async () => 'x')
  await app.ready()
  return await serve((request, response) => app.routing(request, response))
}

async function expressService(verify: Verifier): Promise<Service> {
  const app = express()
  const ok: express.RequestHandler = (_request, response) => void response.end('x')
  const router = express.Router()
  // Mounted: `url` is cut there.
  router.get('/', expressAuth(verify), ok)
  router.post('/', expressAuth(verify, { scope: 'orders:write' }), ok)
  app.use('/orders', router)
  app.get('/money', expressAuth(verify, { dpop: 'required' }), ok)
  return await serve(app)
}

async function fetchService(verify: Verifier): Promise<Service> {
  const ok = () => new Response('x')
  const routes = new Map([
    ['GET /orders', fetchAuth(verify, ok)],
    ['HEAD /orders', fetchAuth(verify, ok)],
    ['POST /orders', fetchAuth(verify, ok, { scope: 'orders:write' })],
    ['GET /money', fetchAuth(verify, ok, { dpop: 'required' })],
  ])
  return await serve((request, response) => {
    const headers = new Headers()
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      headers.append(request.rawHeaders[at] ?? '', request.rawHeaders[at + 1] ?? '')
    }
    const { method = '', url = '', headers: own } = request
    const [path = ''] = url.replace(/^http:\/\/[^/]+/, '').split('?')
    const handler = routes.get(`${method} ${path}`)
    void (async () => {
      // As platforms do: the host is the one that the request names.
      const whole = url.startsWith('/') ? `http://${own.host}${url}` : url
      const answer = (await handler?.(new Request(whole, { method, headers }))) ?? new Response(null, { status: 404 })
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
    })()
  })
}

describe.each([
  ['Fastify', fastifyService],
  ['Express', expressService],
  ['fetch', fetchService],
])('%s', (_name, start) => {
  const both = () => start(verifierWith(settings()))

  test('a bound token with its proof is let in, also with a query and for HEAD', async () => {
    await using service = await both()
    expect((await service.get('/orders?page=2', dpop(freshProof('GET', '/orders')))).status).toBe(200)
    expect((await service.get('/money', dpop(freshProof('GET', '/money')))).status).toBe(200)
    expect((await service.get('/orders', dpop(freshProof('HEAD', '/orders')), 'HEAD')).status).toBe(200)
    const lower = { authorization: `dpop ${client.token}`, dpop: freshProof('GET', '/orders') }
    expect((await service.get('/orders', lower)).status).toBe(200)
  })

  test('nobody is let in without either: both schemes are offered, or the one that is taken', async () => {
    await using service = await both()
    const nothing = await service.get('/orders')
    expect(nothing).toEqual({ status: 401, challenge: `Bearer realm="${issuer}", DPoP realm="${issuer}", ${ALGS}` })
    const onlyBound = await service.get('/money', { authorization: `Bearer ${unbound}` })
    expect(onlyBound).toEqual({ status: 401, challenge: `DPoP realm="${issuer}", ${ALGS}` })
    expect((await service.get('/orders', { authorization: `Bearer ${unbound}` })).status).toBe(200)
  })

  const badProof = { status: 401, challenge: `DPoP error="invalid_dpop_proof", ${ALGS}, Bearer` }

  test('a stolen bound token is refused as Bearer, whether or not a proof stands beside it', async () => {
    await using service = await both()
    const bearer = { authorization: `Bearer ${client.token}` }
    expect(await service.get('/orders', bearer)).toEqual(badProof)
    expect(await service.get('/orders', { ...bearer, dpop: freshProof('GET', '/orders') })).toEqual(badProof)
    expect(await service.get('/orders', { authorization: `DPoP ${client.token}` })).toEqual(badProof)
  })

  test.each<[string, () => string | string[]]>([
    ['for another method', () => freshProof('POST', '/orders')],
    ['for another path', () => freshProof('GET', '/money')],
    ['for another host', () => freshProof('GET', '/orders', { htu: 'https://attacker.example/orders' })],
    ['made an hour ago', () => freshProof('GET', '/orders', { iat: Math.floor(Date.now() / 1000) - 3600 })],
    ['made in an hour', () => freshProof('GET', '/orders', { iat: Math.floor(Date.now() / 1000) + 3600 })],
    ['for another token', () => freshProof('GET', '/orders', { ath: 'A'.repeat(43) })],
    ['of 8 KiB', () => freshProof('GET', '/orders', { note: 'a'.repeat(6000) })],
    ['that is there twice', () => Array(2).fill(freshProof('GET', '/orders')) as string[]],
    ['beside another', () => [freshProof('GET', '/orders'), freshProof('GET', '/orders')]],
    ['that is empty', () => ''],
  ])('a proof %s is refused', async (_what, make) => {
    await using service = await both()
    expect(await service.get('/orders', dpop(make()))).toEqual(badProof)
  })

  test('a proof is good once', async () => {
    await using service = await both()
    const headers = dpop(freshProof('GET', '/orders'))
    expect((await service.get('/orders', headers)).status).toBe(200)
    expect(await service.get('/orders', headers)).toEqual(badProof)
  })

  test('a proof that was made for the attacker’s host is refused, although the request names that host', async () => {
    await using service = await both()
    const proof = freshProof('GET', '/orders', { htu: 'http://attacker.example/orders' })
    for (const headers of [
      { host: 'attacker.example', ...dpop(proof) },
      { host: 'attacker.example', 'x-forwarded-host': 'attacker.example', ...dpop(proof) },
      { forwarded: 'host=attacker.example;proto=http', ...dpop(proof) },
    ]) {
      expect(await service.get('/orders', headers)).toEqual(badProof)
    }
    expect(
      (await service.get('/orders', { host: 'attacker.example', ...dpop(freshProof('GET', '/orders')) })).status,
    ).toBe(200)
    expect((await service.get('http://attacker.example/orders', dpop(proof))).status).not.toBe(200)
  })

  test('an unbound token by the scheme DPoP is refused as a token', async () => {
    await using service = await both()
    const answer = await service.get('/orders', dpop(freshProof('GET', '/orders'), unbound))
    expect(answer).toEqual({ status: 401, challenge: `DPoP error="invalid_token", ${ALGS}, Bearer` })
  })

  test('a bound token that does not suffice hears so by its scheme', async () => {
    await using service = await both()
    const answer = await service.get('/orders', dpop(freshProof('POST', '/orders')), 'POST')
    const challenge = `DPoP error="insufficient_scope", scope="orders:write", ${ALGS}`
    expect(answer).toEqual({ status: 403, challenge })
  })

  test('a memory that is away is a 503 without a challenge', async () => {
    const isReplay = () => Promise.reject(new Error('away'))
    await using service = await start(verifierWith(settings({ isReplay })))
    const answer = await service.get('/orders', dpop(freshProof('GET', '/orders')))
    expect(answer).toEqual({ status: 503, challenge: undefined })
  })

  test('without an origin it does not start', async () => {
    await expect((async () => start(verifierWith('accepted')))()).rejects.toThrow(/origin/)
  })
})

describe('without the option', () => {
  test.each([
    [
      'Fastify',
      async (verify: Verifier) => {
        const app = Fastify()
        await app.register(fastifyAuth, { verify })
        app.get('/orders', async () => 'x')
        await app.ready()
        return await serve((request, response) => app.routing(request, response))
      },
    ],
    [
      'Express',
      async (verify: Verifier) => await serve(express().get('/orders', expressAuth(verify), (_q, r) => void r.end())),
    ],
  ] as const)('%s refuses bound tokens by either scheme', async (_name, start) => {
    await using service = await start(verifierWith())
    const bearer = { authorization: `Bearer ${client.token}` }
    expect(await service.get('/orders', bearer)).toEqual({ status: 401, challenge: 'Bearer error="invalid_token"' })
    const answer = await service.get('/orders', dpop(freshProof('GET', '/orders')))
    expect(answer).toEqual({ status: 401, challenge: `Bearer realm="${issuer}"` })
  })
})

describe('Express', () => {
  test('a proof is good once also where the application and a route both ask for a token', async () => {
    const app = express()
    const verify = verifierWith(settings())
    app.use(expressAuth(verify))
    app.get('/orders', expressAuth(verify, { dpop: 'required' }), (_request, response) => void response.end('x'))
    await using service = await serve(app)
    const headers = dpop(freshProof('GET', '/orders'))
    expect((await service.get('/orders', headers)).status).toBe(200)
    expect((await service.get('/orders', headers)).status).toBe(401)
    expect((await service.get('/orders', dpop(freshProof('GET', '/other')))).status).toBe(401)
  })
})

describe('fetch', () => {
  test('a proof is good once also where one handler is within another', async () => {
    const verify = verifierWith(settings())
    const inner = fetchAuth(verify, () => new Response('x'), { dpop: 'required' })
    const outer = fetchAuth(verify, (request) => inner(request))
    const headers = { authorization: `DPoP ${client.token}`, dpop: freshProof('GET', '/orders') }
    const ask = async () => (await outer(new Request(`${ORIGIN}/orders`, { headers }))).status
    expect([await ask(), await ask()]).toEqual([200, 401])
  })
})

describe('Fastify', () => {
  test('what the plugin says goes before the verifier, and what the route says before both', async () => {
    const app = Fastify()
    await app.register(fastifyAuth, { verify: verifierWith(), dpop: settings({ mode: 'required' }) })
    app.get('/bound', async () => 'x')
    app.get('/both', { config: auth({ dpop: 'accepted' }) }, async () => 'x')
    app.get('/elsewhere', { config: auth({ dpop: { origin: `${ORIGIN}/api` } }) }, async () => 'x')
    const get = async (url: string, headers: Record<string, string>) => (await app.inject({ url, headers })).statusCode
    expect(await get('/bound', { authorization: `Bearer ${unbound}` })).toBe(401)
    expect(await get('/both', { authorization: `Bearer ${unbound}` })).toBe(200)
    const headers = (path: string) => ({ authorization: `DPoP ${client.token}`, dpop: freshProof('GET', path) })
    expect(await get('/bound', headers('/bound'))).toBe(200)
    expect(await get('/elsewhere', headers('/api/elsewhere'))).toBe(200)
    expect(await get('/elsewhere', headers('/elsewhere'))).toBe(401)
  })

  test('a slip stops the start', async () => {
    const app = Fastify()
    await app.register(fastifyAuth, { verify: verifierWith() })
    expect(() => app.get('/', { config: auth({ dpop: 'required' }) }, async () => 'x')).toThrow(/GET \/: .*origin/)
    expect(() => app.get('/', { config: auth({ dpop: 'never' as 'required' }) }, async () => 'x')).toThrow(/mode/)
  })

  test('a scope that a handler asks for is told by the scheme of the token', async () => {
    const app = Fastify()
    await app.register(fastifyAuth, { verify: verifierWith(settings()) })
    app.get('/', async (request) => requireScope(request.claims, 'orders:write'))
    const headers = { authorization: `DPoP ${client.token}`, dpop: freshProof('GET', '/') }
    expect((await app.inject({ url: '/', headers })).headers['www-authenticate']).toMatch(/^DPoP error="insuff/)
  })
})
