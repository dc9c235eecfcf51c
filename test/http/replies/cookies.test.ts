import { type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { expect, test } from 'vitest'
import { refuseForeignOrigin, requireOrigin } from '../../../src/http/guards/origin.ts'
import { clearRefreshCookie, refreshCookies, sendTokens, type Tokens } from '../../../src/http/replies/cookies.ts'
import { TokenReply } from '../../../src/http/requests/schemas.ts'
import { createHttpApp, ORIGIN, request } from '../support.ts'

const allowed = new Set([ORIGIN, 'https://auth.example.com'])
const token = `rt1_${'aA0-_'.repeat(20)}`
let tokens: Tokens
let changed = 0

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/cookies', { config: { access: 'public' } }, async (req) => refreshCookies(req, 'web'))
  app.post('/login', {
    config: { access: 'public' },
    schema: { response: { 200: TokenReply } },
    handler: async (_request, reply) => sendTokens(reply, tokens),
  })
  app.post('/logout', { config: { access: 'public' } }, async (_request, reply) => {
    clearRefreshCookie(reply, 'web')
    return reply.code(204).send()
  })
  app.post('/strict', { config: { access: 'public' } }, async (req) => {
    requireOrigin(req, allowed)
    return { changed: ++changed }
  })
  for (const delivery of ['cookie', 'body'] as const) {
    app.post(`/lenient/${delivery}`, { config: { access: 'public' } }, async (req) => {
      refuseForeignOrigin(req, { delivery, origins: allowed })
      return { changed: ++changed }
    })
  }
}

const t = await createHttpApp((app) => void app.register(routes))

const issued = (extra: Partial<Tokens>): Tokens => ({
  accessToken: 'at',
  tokenType: 'Bearer',
  expiresIn: 600,
  scope: 'account',
  refreshToken: token,
  refreshExpiresIn: 43200,
  remember: false,
  delivery: 'cookie',
  clientId: 'web',
  // Members that a reply must not show.
  subject: Object.assign(
    { id: '0', email: 'a@example.com', emailVerified: true, roles: ['x'] },
    { claims: { secret: 1 }, passwordHash: 'p' },
  ),
  ...extra,
})

const REPLY = {
  access_token: 'at',
  token_type: 'Bearer',
  expires_in: 600,
  scope: 'account',
  refresh_expires_in: 43200,
  user: { id: '0', email: 'a@example.com', email_verified: true, roles: ['x'] },
}

test('the cookie has exactly these attributes, and the body no refresh token', async () => {
  tokens = issued({})
  const answer = await t.app.inject({ method: 'POST', url: '/login' })
  expect(answer.headers['set-cookie']).toBe(`__Host-refresh_token=${token}; Path=/; HttpOnly; Secure; SameSite=Strict`)
  expect(answer.json()).toEqual(REPLY)
  tokens = issued({ remember: true })
  const remembered = await t.app.inject({ method: 'POST', url: '/login' })
  expect(remembered.headers['set-cookie']).toBe(
    `__Host-refresh_token=${token}; Max-Age=43200; Path=/; HttpOnly; Secure; SameSite=Strict`,
  )
})

test('in the body there is no cookie', async () => {
  tokens = issued({ delivery: 'body', remember: true })
  const answer = await t.app.inject({ method: 'POST', url: '/login' })
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect(answer.json()).toEqual({ ...REPLY, refresh_token: token })
})

test('logout deletes the cookie that was set', async () => {
  const answer = await t.app.inject({ method: 'POST', url: '/logout' })
  expect(answer.headers['set-cookie']).toBe(
    '__Host-refresh_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict',
  )
})

const NAME = '__Host-refresh_token'

test.each<[string, string, string[]]>([
  ['alone', `${NAME}=a`, ['a']],
  ['among others', `x=1; ${NAME}=a;y=2`, ['a']],
  ['with tabs and spaces', `x=1; \t ${NAME}\t = a \t`, ['a']],
  ['twice', `${NAME}=a; ${NAME}=b`, ['a', 'b']],
  ['twice the same', `${NAME}=a; ${NAME}=a`, ['a', 'a']],
  ['with = in the value', `${NAME}=a=b`, ['a=b']],
  ['empty', `${NAME}=`, ['']],
  ['quoted, as it is', `${NAME}="a"`, ['"a"']],
  ['escaped, as it is', `${NAME}=%61`, ['%61']],
  ['without a value', NAME, []],
  ['in other case', '__host-refresh_token=a; __HOST-REFRESH_TOKEN=b', []],
  ['behind U+00A0', `x=1; \u00a0${NAME}=a`, []],
  ['behind U+0085', `\u0085${NAME}=a`, []],
  ['before U+00A0', `${NAME}\u00a0=a`, []],
  ['behind U+2000 in UTF-8', `\u00e2\u0080\u0080${NAME}=a`, []],
  ['behind $Version', `$Version=1,${NAME}=a`, []],
  ['behind $Version and a space', `$Version=1 ${NAME}=a`, []],
  ['nameless', `=${NAME}=a`, []],
  ['in the value of another', `x=${NAME}=a`, []],
  ['behind a comma', `x=1, ${NAME}=a`, []],
  ['with a longer name', `${NAME}2=a; x${NAME}=b`, []],
  ['with an escaped name', '__Host%2Drefresh_token=a', []],
])('reads the cookie %s', async (_name, header, values) => {
  const text = await t.send(Buffer.from(request('GET /cookies', ['Host: a', `Cookie: ${header}`]), 'latin1'))
  expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))).toEqual(values)
})

test('reads several Cookie headers as one', async () => {
  const text = await t.send(request('GET /cookies', ['Host: a', `Cookie: ${NAME}=a`, `Cookie: ${NAME}=b`]))
  expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))).toEqual(['a', 'b'])
})

test('blanks in the middle cost no more than other characters', () => {
  // Many more than a request may have: if each of them began a search to the end, it would take more than a minute.
  const cookie = `x${' \t'.repeat(250_000)}y=1; ${NAME}=a`
  expect(refreshCookies({ headers: { cookie } } as FastifyRequest, 'web')).toEqual(['a'])
})

test('reads no cookie where there is none', async () => {
  expect((await t.app.inject('/cookies')).json()).toEqual([])
})

const ISSUER = 'https://auth.example.com'

test.each<[string, string | undefined, string | undefined, boolean, boolean, boolean?]>([
  // What came, Origin, Sec-Fetch-Site, passes where the cookie counts, where one will be set, and where there is none.
  ['an allowed page', ORIGIN, 'same-site', true, true],
  ['a page of ours', ISSUER, 'same-origin', true, true],
  ['an allowed page in an old browser', ORIGIN, undefined, true, true],
  ['an allowed page, said to be cross-site', ORIGIN, 'cross-site', false, false, true],
  ['an allowed page, said to be typed', ORIGIN, 'none', false, true],
  ['an allowed page, said to be nonsense', ORIGIN, 'same-origin, cross-site', false, true],
  ['a terminal', undefined, undefined, false, true],
  ['a browser without Origin', undefined, 'cross-site', false, false, true],
  ['an opaque origin', 'null', undefined, false, false],
  ['an empty origin', '', undefined, false, false],
  ['another site', 'https://evil.example', 'cross-site', false, false],
  ['another site that claims same-origin', 'https://evil.example', 'same-origin', false, false],
  ['a neighbour', 'https://evil.auth.example.com', 'same-site', false, false],
  ['the page over http', 'http://app.example.com', 'same-site', false, false],
  ['another port', 'https://app.example.com:444', 'same-site', false, false],
  ['a longer name', `${ORIGIN}.evil.example`, undefined, false, false],
  ['a trailing slash', `${ORIGIN}/`, undefined, false, false],
  ['two origins', `${ORIGIN}, ${ORIGIN}`, undefined, false, false],
])('%s', async (_name, origin, site, strict, lenient, withoutCookie = lenient) => {
  const headers = {
    ...(origin === undefined ? {} : { origin }),
    ...(site === undefined ? {} : { 'sec-fetch-site': site }),
  }
  for (const [url, passes] of [
    ['/strict', strict],
    ['/lenient/cookie', lenient],
    ['/lenient/body', withoutCookie],
  ] as const) {
    const before = changed
    const answer = await t.app.inject({ method: 'POST', url, headers })
    expect(answer.statusCode).toBe(passes ? 200 : 403)
    if (!passes) expect(answer.json().code).toBe('origin_not_allowed')
    expect(changed).toBe(before + (passes ? 1 : 0))
  }
})

test('two Origin headers are refused', async () => {
  for (const path of ['/strict', '/lenient/cookie', '/lenient/body']) {
    const text = await t.send(request(`POST ${path}`, ['Host: a', `Origin: ${ORIGIN}`, 'Origin: https://evil.example']))
    expect(text).toMatch(/^HTTP\/1\.1 403 /)
  }
})
