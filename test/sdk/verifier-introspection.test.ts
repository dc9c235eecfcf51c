import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import express from 'express'
import Fastify, { type FastifyContextConfig } from 'fastify'
import { describe, expect, test } from 'vitest'
import { bearerAuth as expressAuth } from '../../sdk/verifier/src/express.ts'
import { bearerAuth as fastifyAuth, type RouteAuth, requires } from '../../sdk/verifier/src/fastify.ts'
import { bearerAuth as fetchAuth } from '../../sdk/verifier/src/fetch.ts'
import { createVerifier, type Verifier, type VerifierOptions } from '../../sdk/verifier/src/index.ts'
import { atOnce } from '../support/at-once.ts'
import {
  eventually,
  type FeedIssuer,
  INTROSPECTION,
  type Json,
  LIST,
  RECEIPTS,
  STREAM,
  startFeedIssuer,
  streamingFrom,
  subscriberOf,
} from './feed-support.ts'
import { checkOf, first, SECOND, second, tokens } from './verifier-support.ts'

const client = { id: 'cl_orders:1', secret: 'cvs1_a b+ü/' }
const asking: Partial<VerifierOptions> = { client, revocations: { onStale: 'introspect' } }

/** Answers questions about tokens, and notes them. */
function introspect(issuer: FeedIssuer, answer: () => unknown) {
  const asked: { token: string | null; authorization: string | undefined; type: string | undefined }[] = []
  issuer.answers.set(INTROSPECTION, (request: IncomingMessage, response) => {
    void text(request).then((body) => {
      const { authorization, 'content-type': type } = request.headers
      asked.push({ token: new URLSearchParams(body).get('token'), authorization, type })
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer()))
    })
  })
  return asked
}

describe('a stale view, and introspection', () => {
  test('the issuer decides, and is asked as a service client', async () => {
    await using issuer = await startFeedIssuer()
    let active: unknown = true
    const asked = introspect(issuer, () => ({ active }))
    using subscriber = await streamingFrom(issuer, asking)
    const { verify, pass } = subscriber
    await verify(tokens.usual(issuer))
    expect(asked, 'not while the view is fresh').toEqual([])
    pass(11 * SECOND)
    await verify(tokens.usual(issuer))
    const credentials = Buffer.from('cl_orders%3A1:cvs1_a+b%2B%C3%BC%2F').toString('base64')
    expect(asked).toEqual([
      {
        token: tokens.usual(issuer),
        authorization: `Basic ${credentials}`,
        type: 'application/x-www-form-urlencoded',
      },
    ])
    active = false
    expect(await checkOf(verify(tokens.usual(issuer))), 'no answer is kept').toBe('revoked')
    expect(await checkOf(verify(issuer.mint.withClaims({ exp: 1 })))).toBe('expired')
    expect(asked).toHaveLength(2)
  })

  test.each<[string, (issuer: FeedIssuer) => void]>([
    ['nobody there', (issuer) => void (issuer.down = true)],
    ['404', (issuer) => issuer.answers.delete(INTROSPECTION)],
    ['a text', (issuer) => introspect(issuer, () => ({ active: 'true' }))],
    ['nothing', (issuer) => introspect(issuer, () => ({}))],
    ['null', (issuer) => introspect(issuer, () => null)],
    ['a page', (issuer) => issuer.answers.set(INTROSPECTION, (_request, response) => response.end('<html>'))],
    [
      'a redirect',
      (issuer) =>
        issuer.answers.set(INTROSPECTION, (_request, response) => response.writeHead(307, { location: LIST }).end()),
    ],
    ['a hundred kilobytes', (issuer) => introspect(issuer, () => ({ active: true, more: 'a'.repeat(100_000) }))],
  ])('that is answered by %s is 503', async (_what, answer) => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streamingFrom(issuer, asking)
    subscriber.pass(11 * SECOND)
    answer(issuer)
    const error = await subscriber.verify(tokens.usual(issuer)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ check: 'stale', status: 503, headers: { 'retry-after': '1' } })
    expect(String(error)).toContain('asking the issuer failed')
    expect(String(error)).not.toContain('cvs1_')
  })

  test('a thousand verifications ask once for each token at a time', async () => {
    await using issuer = await startFeedIssuer()
    const waiting: (() => void)[] = []
    issuer.answers.set(INTROSPECTION, (_request, response) => void waiting.push(() => response.end('{"active":true}')))
    using subscriber = await streamingFrom(issuer, asking)
    const { verify, pass } = subscriber
    pass(11 * SECOND)
    const own = [tokens.usual(issuer), issuer.mint.withClaims({ jti: 'another' })]
    const outcomes = atOnce(1000, (i) => checkOf(verify(own[i % 2] ?? '')))
    await eventually(() => expect(waiting).toHaveLength(2))
    // Signatures are checked in turn: after these all thousand wait for the answer. Whoever came later would ask again.
    const last = issuer.mint.withClaims({ aud: 'https://other.example' })
    for (let i = 0; i < 5; i++) expect(await checkOf(verify(last))).toBe('audience')
    for (const answer of waiting) answer()
    expect(new Set(await outcomes)).toEqual(new Set(['ok']))
    expect(waiting).toHaveLength(2)
    const later = checkOf(verify(own[0] ?? ''))
    await eventually(() => expect(waiting).toHaveLength(3))
    waiting[2]?.()
    expect(await later).toBe('ok')
  })

  test('a flood of tokens is no flood of questions', async () => {
    await using issuer = await startFeedIssuer()
    let waiting = 0
    issuer.answers.set(INTROSPECTION, () => void waiting++)
    using subscriber = await streamingFrom(issuer, asking)
    subscriber.pass(11 * SECOND)
    const outcomes: string[] = []
    for (let i = 0; i < 210; i++) {
      void checkOf(subscriber.verify(issuer.mint.withClaims({ jti: String(i) }))).then((check) => outcomes.push(check))
    }
    await eventually(() => expect(outcomes).toEqual(Array(10).fill('stale')))
    await eventually(() => expect(waiting).toBe(200))
  })
})

describe('per route', () => {
  const stale = async (issuer: FeedIssuer, options: Partial<VerifierOptions> = {}) => {
    const subscriber = await streamingFrom(issuer, options)
    subscriber.pass(11 * SECOND)
    return subscriber
  }

  test('a route may allow what the verifier would reject, be content with less, or ask', async () => {
    await using issuer = await startFeedIssuer()
    const asked = introspect(issuer, () => ({ active: true }))
    using subscriber = await stale(issuer, { client })
    const { verify, pass } = subscriber
    const token = tokens.usual(issuer)
    expect(await checkOf(verify(token))).toBe('stale')
    expect(await checkOf(verify(token, {}))).toBe('stale')
    expect(await checkOf(verify(token, { revocations: { onStale: 'allow' } }))).toBe('ok')
    expect(await checkOf(verify(token, { revocations: { maxStaleness: '1m' } }))).toBe('ok')
    expect(asked).toEqual([])
    expect(await checkOf(verify(token, { revocations: { onStale: 'introspect' } }))).toBe('ok')
    expect(asked).toHaveLength(1)
    pass(60 * SECOND)
    expect(await checkOf(verify(token, { revocations: { maxStaleness: '1m' } })), 'the rest is the verifier’s').toBe(
      'stale',
    )
  })

  test('Fastify, Express and fetch handlers take it beside scope and role', async () => {
    await using issuer = await startFeedIssuer()
    using subscriber = await stale(issuer)
    const { verify } = subscriber
    const allow = { scope: 'account', revocations: { onStale: 'allow' } } as const
    const headers = { authorization: `Bearer ${tokens.usual(issuer)}` }

    const app = Fastify()
    await app.register(fastifyAuth, { verify })
    // Routes of other files of this program ask for `access`, which has no meaning here.
    app.get('/allow', { config: { auth: allow as RouteAuth } as FastifyContextConfig }, async () => 'in')
    app.get('/reject', async () => 'in')
    expect((await app.inject({ url: '/allow', headers })).statusCode).toBe(200)
    const refused = await app.inject({ url: '/reject', headers })
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '1'])

    const service = express()
    service.get('/allow', expressAuth(verify, allow), (_request, response) => void response.end('in'))
    service.get('/reject', expressAuth(verify), (_request, response) => void response.end('in'))
    const server = service.listen(0)
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const statuses = await Promise.all(
      ['allow', 'reject'].map(async (path) => (await fetch(`http://127.0.0.1:${port}/${path}`, { headers })).status),
    )
    server.closeAllConnections()
    server.close()
    expect(statuses).toEqual([200, 503])

    const request = new Request('http://localhost/', { headers })
    expect((await fetchAuth(verify, () => new Response(), allow)(request)).status).toBe(200)
    expect((await fetchAuth(verify, () => new Response())(request)).status).toBe(503)
  })

  const plain = { issuer: 'https://issuer.example', audience: 'orders' }
  test.each<[string, unknown, Partial<VerifierOptions>]>([
    ['a slip', { onStaleness: 'allow' }, { revocations: {} }],
    ['four seconds', { maxStaleness: '4s' }, { revocations: {} }],
    ['a number', { maxStaleness: 10 }, { revocations: {} }],
    ['no unit', { maxStaleness: '10' }, { revocations: {} }],
    ['hours', { maxStaleness: '1h' }, { revocations: {} }],
    ['a fraction', { maxStaleness: '7.5s' }, { revocations: {} }],
    ['no policy of ours', { onStale: 'ignore' }, { revocations: {} }],
    ['introspection without a client', { onStale: 'introspect' }, { revocations: {} }],
    ['a word', 'allow', { revocations: {} }],
    ['nothing', null, { revocations: {} }],
    ['a verifier without the feed', {}, {}],
  ])('%s stops the start', (_what, revocations, options) => {
    const verify: Verifier = createVerifier({ ...plain, ...options })
    const route = { revocations } as object
    expect(() => expressAuth(verify, route)).toThrow(TypeError)
    expect(() => fetchAuth(verify, () => new Response(), route)).toThrow(TypeError)
    if (Object.keys(options).length > 0) {
      expect(() => createVerifier({ ...plain, ...options, revocations } as VerifierOptions)).toThrow(TypeError)
    }
  })

  test('a hook that only looks at scope and role does not pretend to look at the feed', () => {
    expect(() => requires({ scope: 'a', revocations: {} } as object)).toThrow(TypeError)
  })

  test.each([
    null,
    {},
    { id: 'cl_a' },
    { id: '', secret: 'b' },
    { id: 'a', secret: 1 },
    { id: 'a', assertion: 'a.b.c' },
    { ...client, assertion: () => 'a.b.c' },
    { ...client, instance: '' },
  ])('client %j is none', (value) => {
    expect(() => createVerifier({ ...plain, client: value } as unknown as VerifierOptions)).toThrow(TypeError)
  })
})

describe('receipts', () => {
  const receiptsAt = (issuer: FeedIssuer) => {
    const receipts: Json[] = []
    issuer.answers.set(RECEIPTS, (request, response) => {
      void text(request).then((body) => {
        receipts.push({
          ...(JSON.parse(body) as Json),
          at: issuer.clock(),
          authorization: request.headers.authorization,
        })
        response.writeHead(204).end()
      })
    })
    return receipts
  }

  test('say what is held, soon after it has changed and else every five seconds', async () => {
    await using issuer = await startFeedIssuer()
    issuer.keys = [first, second]
    const receipts = receiptsAt(issuer)
    using subscriber = await streamingFrom(issuer, { client, revocations: {} })
    await eventually(() => expect(receipts).toHaveLength(1))
    expect(receipts[0]).toMatchObject({
      epoch: 'epoch-1',
      seq: 0,
      kids: [first.kid, second.kid],
      instance: expect.stringMatching(/^[\w-]{36}$/),
      authorization: expect.stringMatching(/^Basic /),
    })
    const startedAt = issuer.clock()
    for (let i = 0; i < 10; i++) await subscriber.beat(1)
    await eventually(() => expect(receipts).toHaveLength(3))
    issuer.revoke({ sid: 'a' })
    issuer.revoke({ sid: 'b' })
    await eventually(() => expect(subscriber.verify.revocations().seq).toBe(2))
    await subscriber.beat(1)
    await eventually(() => expect(receipts).toHaveLength(4))
    expect(receipts.map(({ seq }) => seq)).toEqual([0, 0, 0, 2])
    expect(receipts.slice(1, 3).map(({ at }) => Number(at) - startedAt)).toEqual([5, 10])
    expect(new Set(receipts.map(({ instance }) => instance)).size).toBe(1)
  })

  test('bear the name that the process was given', async () => {
    await using issuer = await startFeedIssuer()
    const receipts = receiptsAt(issuer)
    using subscriber = await streamingFrom(issuer, { client: { ...client, instance: 'orders-7f9c' }, revocations: {} })
    await eventually(() => expect(receipts[0]).toMatchObject({ instance: 'orders-7f9c' }))
    expect(subscriber.errors).toEqual([])
  })

  test('of a client that has no secret go with an access token, which is asked for again when it grows old or is refused', async () => {
    await using issuer = await startFeedIssuer()
    const receipts = receiptsAt(issuer)
    const asked: Json[] = []
    issuer.answers.set('/oauth/token', (request, response) => {
      void text(request).then((body) => {
        asked.push(Object.fromEntries(new URLSearchParams(body)))
        response.end(JSON.stringify({ access_token: `token-${asked.length}`, expires_in: 10 }))
      })
    })
    let made = 0
    const assertion = () => `assertion-${++made}`
    using subscriber = await streamingFrom(issuer, { client: { id: 'cl_orders', assertion }, revocations: {} })
    await eventually(() => expect(receipts).toHaveLength(1))
    expect(asked).toEqual([
      {
        grant_type: 'client_credentials',
        audience: `${issuer.url}/.well-known/revocations`,
        client_id: 'cl_orders',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: 'assertion-1',
      },
    ])
    for (let i = 0; i < 10; i++) await subscriber.beat(1)
    await eventually(() => expect(receipts).toHaveLength(3))
    expect(receipts.map(({ authorization }) => authorization)).toEqual(
      ['token-1', 'token-1', 'token-2'].map((token) => `Bearer ${token}`),
    )
    issuer.answers.set(RECEIPTS, (_request, response) => void response.writeHead(401).end())
    for (let i = 0; i < 5; i++) await subscriber.beat(1)
    await eventually(() => expect(subscriber.errors.map(({ message }) => message).join()).toContain('answered 401'))
    const again = receiptsAt(issuer)
    for (let i = 0; i < 5; i++) await subscriber.beat(1)
    await eventually(() => expect(again[0]).toMatchObject({ authorization: 'Bearer token-3' }))
  })

  test('are for service clients, and one that is refused harms nothing', async () => {
    await using issuer = await startFeedIssuer()
    using anonymous = subscriberOf(issuer)
    await anonymous.verify.ready()
    using subscriber = await streamingFrom(issuer, { client, revocations: {} })
    await eventually(() =>
      expect(subscriber.errors.map(({ message }) => message).join()).toContain(`${RECEIPTS} answered 404`),
    )
    await subscriber.verify(tokens.usual(issuer))
    for (let i = 0; i < 10; i++) await subscriber.beat(1)
    expect(issuer.requests.filter((path) => path === RECEIPTS)).toHaveLength(3)
    expect(issuer.requests.filter((path) => path === STREAM)).toHaveLength(2)
  })
})
