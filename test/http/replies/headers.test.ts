import { describe, expect, test } from 'vitest'
import { type ProblemCode, typeOf } from '../../../src/errors.ts'
import { ALWAYS, createHttpApp } from '../support.ts'
import { surface } from '../surface.ts'

const t = await createHttpApp(surface)

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
        type: typeOf(document.code as ProblemCode),
        status,
        title: expect.any(String),
      })
      expect(answer.headers.etag).toBeUndefined()
      expect(answer.body).not.toMatch(/fastify|FST_|secret detail|cross-site|ECONN|node_modules/i)
    }
  })

  test('has no HSTS where the issuer is plain http, or where the operator turned it off', async () => {
    await using plain = await createHttpApp(surface, { env: { ISSUER: 'http://localhost:3000' } })
    await using off = await createHttpApp(surface, { env: { HSTS: 'off' } })
    for (const { app } of [plain, off]) {
      expect((await app.inject('/g')).headers['strict-transport-security']).toBeUndefined()
    }
  })

  test('of a route may be cached only if it succeeded', async () => {
    expect((await t.app.inject('/.well-known/jwks.json')).headers['cache-control']).toBe('public, max-age=300')
    expect((await t.app.inject('/boom')).headers['cache-control']).toBe('no-store')
  })
})

describe('request ids', () => {
  const ask = async (trusted: string, id: string) => {
    await using other = await createHttpApp(surface, { env: { TRUSTED_PROXIES: trusted } })
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
