import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { answer, only } from './browser-support.ts'
import { createSite, createVisitor, SITE, signUp, type TestSite, type Visitor } from './server-support.ts'

// What a site mounts: the routes that its pages' scripts call, and handlers that are told who asks.

let t: TestApp
let site: TestSite
let visitor: Visitor

beforeEach(async () => {
  t = await createTestApp()
  site = createSite(await t.listen())
  visitor = createVisitor()
})
afterEach(async () => {
  vi.useRealTimers()
  await t[Symbol.asyncDispose]()
})

const credentials = () => ({ email: `user-${crypto.randomUUID()}@example.com`, password: TEST_PASSWORD })

/** Sends a request, and keeps the cookies that come back. */
async function send(request: Request): Promise<{ status: number; headers: Headers; body: unknown }> {
  const response = await site.client.handle(request)
  visitor.take(response)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text && JSON.parse(text) }
}
const session = async () => (await send(visitor.request('/auth/session'))).body

test('register, sign in, ask, sign out', async () => {
  const { email, password } = credentials()
  expect(await session()).toEqual({ state: 'signed-out', user: null })
  const registered = await send(visitor.post('/auth/register', { email, password }))
  expect(registered).toMatchObject({ status: 201, body: { user: { email } } })
  const signedIn = await send(visitor.post('/auth/login', { email, password, remember: true }))
  expect(signedIn).toMatchObject({ status: 200, body: { user: { email } } })
  expect(Object.keys(signedIn.body as object), 'no token for scripts').toEqual(['user'])
  expect(
    signedIn.headers.getSetCookie().every((line) => line.includes('Max-Age=')),
    'remembered',
  ).toBe(true)
  expect(signedIn.headers.get('cache-control')).toBe('private, no-store')
  expect(await session()).toMatchObject({ state: 'signed-in', user: { email } })
  expect(await send(visitor.post('/auth/logout'))).toMatchObject({ status: 204, body: '' })
  expect(await session()).toEqual({ state: 'signed-out', user: null })
  expect([...visitor.cookies.keys()]).toEqual([expect.stringMatching(/-device$/)])
})

test('refusals of the issuer are passed on, with Retry-After', async () => {
  const { email, password } = credentials()
  const wrong = await send(visitor.post('/auth/login', { email, password }))
  expect(wrong).toMatchObject({ status: 401, body: { status: 401, code: 'invalid_credentials' } })
  expect(wrong.headers.get('content-type')).toBe('application/problem+json')
  site.network.interfere = only(
    '/login',
    answer(429, { code: 'too_many_requests', title: 'Slowly' }, { 'retry-after': '7' }),
  )
  const limited = await send(visitor.post('/auth/login', { email, password }))
  expect(limited).toMatchObject({ status: 429, body: { code: 'too_many_requests' } })
  expect(limited.headers.get('retry-after')).toBe('7')
  site.network.interfere = only('/login', async () => Promise.reject(new TypeError('refused')))
  expect(await send(visitor.post('/auth/login', { email, password }))).toMatchObject({
    status: 503,
    body: { status: 503, code: 'network' },
  })
})

describe('a request that is not from a page of the site changes nothing', () => {
  test.each<[string, Record<string, string | null>]>([
    ['no Origin', { origin: null }],
    ['an opaque origin', { origin: 'null' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['a neighbour', { origin: 'https://blog.example.com', 'sec-fetch-site': 'same-site' }],
    ['the issuer’s origin', { origin: 'https://auth.example.com' }],
    ['another scheme', { origin: 'http://shop.example.com' }],
    ['another port', { origin: 'https://shop.example.com:8443' }],
    ['the origin as a prefix', { origin: 'https://shop.example.com.evil.example' }],
    ['same-site by its metadata', { 'sec-fetch-site': 'same-site' }],
    ['cross-site by its metadata', { 'sec-fetch-site': 'cross-site' }],
    ['nobody’s page by its metadata', { 'sec-fetch-site': 'none' }],
  ])('%s', async (_name, changes) => {
    const { email, password } = await signUp(site, visitor)
    const { length } = site.network.sent
    for (const path of ['login', 'logout', 'register']) {
      const request = visitor.post(`/auth/${path}`, { email, password })
      for (const [name, value] of Object.entries(changes)) {
        if (value === null) request.headers.delete(name)
        else request.headers.set(name, value)
      }
      const refused = await send(request)
      expect(refused).toMatchObject({ status: 403, body: { code: 'origin_not_allowed' } })
      expect(refused.headers.getSetCookie()).toEqual([])
    }
    expect(site.network.sent, 'the issuer was not asked').toHaveLength(length)
    expect(await session()).toMatchObject({ state: 'signed-in' })
  })

  test('a browser that sends no metadata is believed its Origin', async () => {
    const { email, password } = await signUp(site, visitor)
    const request = visitor.post('/auth/login', { email, password })
    request.headers.delete('sec-fetch-site')
    expect((await send(request)).status).toBe(200)
  })
})

test.each<[string, number, string, RequestInit, string]>([
  ['/auth/login', 415, 'unsupported_media_type', { headers: { 'content-type': 'text/plain' }, body: '{}' }, 'POST'],
  ['/auth/login', 415, 'unsupported_media_type', { body: new URLSearchParams({ email: 'a' }) }, 'POST'],
  ['/auth/login', 400, 'invalid_request', { body: '{"email":"a@example.com"}' }, 'POST'],
  ['/auth/login', 400, 'invalid_request', { body: '{"email":["a"],"password":"b"}' }, 'POST'],
  ['/auth/login', 400, 'invalid_request', { body: 'null' }, 'POST'],
  ['/auth/login', 400, 'invalid_request', { body: '{' }, 'POST'],
  [
    '/auth/login',
    413,
    'body_too_large',
    { body: JSON.stringify({ email: 'a'.repeat(20_000), password: 'b' }) },
    'POST',
  ],
  ['/auth/login', 404, 'not_found', {}, 'GET'],
  ['/auth/logout', 404, 'not_found', {}, 'GET'],
  ['/auth/session', 404, 'not_found', {}, 'POST'],
  ['/auth/', 404, 'not_found', {}, 'GET'],
  ['/authentic/session', 404, 'not_found', {}, 'GET'],
  ['/auth/constructor', 404, 'not_found', {}, 'GET'],
])('%s is answered %i %s', async (path, status, code, init, method) => {
  const type = init.body instanceof URLSearchParams ? 'application/x-www-form-urlencoded' : 'application/json'
  const headers = { origin: SITE, 'content-type': type, ...(init.headers as Record<string, string>) }
  expect(await send(visitor.request(path, { ...init, method, headers }))).toMatchObject({
    status,
    body: { status, code },
  })
  expect(site.network.sent).toEqual([])
})

describe('a handler with the session', () => {
  test('is told who asks, and its answer brings the new cookie; nobody may store it', async () => {
    const { user } = await signUp(site, visitor)
    const handler = site.client.withSession((request, { state, user: found }, suffix: string) =>
      Response.json({ path: new URL(request.url).pathname, state, id: found?.id, suffix }),
    )
    const plain = await handler(visitor.request('/page'), '!')
    expect(await plain.json()).toEqual({ path: '/page', state: 'signed-in', id: user.id, suffix: '!' })
    expect(plain.headers.getSetCookie()).toEqual([])
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 500_000 })
    t.travel(500)
    const renewed = await handler(visitor.request('/page'), '!')
    expect(renewed.headers.getSetCookie()).toHaveLength(1)
    expect(renewed.headers.get('cache-control')).toBe('private, no-store')
    expect(renewed.headers.get('content-type')).toBe('application/json')
  })

  test('may tell caches what it likes: none of them stores an answer that brings a cookie', async () => {
    await signUp(site, visitor)
    const targeted = ['cdn-cache-control', 'Vercel-CDN-Cache-Control', 'surrogate-control']
    const handler = site.client.withSession(
      () => new Response('', { headers: targeted.map((name) => [name, 'public, max-age=600'] as [string, string]) }),
    )
    const left = async () => {
      const { headers } = await handler(visitor.request('/page'))
      return targeted.filter((name) => headers.has(name))
    }
    expect(await left()).toEqual(targeted)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 500_000 })
    t.travel(500)
    expect(await left()).toEqual([])
  })

  test('may answer with a redirect, whose headers cannot be changed', async () => {
    await signUp(site, visitor)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 500_000 })
    t.travel(500)
    const handler = site.client.withSession(() => Response.redirect(`${SITE}/elsewhere`, 303))
    const answered = await handler(visitor.request('/page'))
    expect(answered.status).toBe(303)
    expect(answered.headers.get('location')).toBe(`${SITE}/elsewhere`)
    expect(answered.headers.getSetCookie()).toHaveLength(1)
  })

  test('may sign somebody out, though the session is refreshed for it', async () => {
    await signUp(site, visitor)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 500_000 })
    t.travel(500)
    const handler = site.client.withSession(async (request) => {
      const { setCookies } = await site.client.signOut(request)
      return new Response(null, {
        status: 204,
        headers: setCookies.map((line) => ['set-cookie', line] as [string, string]),
      })
    })
    visitor.take(await handler(visitor.request('/page')))
    expect(await session()).toEqual({ state: 'signed-out', user: null })
  })
})
