import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { userOf } from '../../../src/principal.ts'
import { createHttpApp, request } from '../support.ts'

const REALM = 'Bearer realm="https://auth.example.com"'
const BAD = `${REALM}, error="invalid_token"`
const DPOP = 'DPoP realm="https://auth.example.com"'
const ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256"'
const NONE = `${REALM}, ${DPOP}, ${ALGS}`

const routes = (app: FastifyInstance): void => {
  app.get('/me', { config: { access: 'user' } }, async ({ principal }) => ({ id: userOf(principal).subject.id }))
  app.post('/password', { config: { access: 'user' } }, async () => ({}))
  app.get('/open', { config: { access: 'public' } }, async () => ({}))
  app.post('/confirm', { config: { access: 'optional' } }, async ({ caller }) => ({
    id: caller ? userOf(caller).subject.id : null,
  }))
  app.get('/careless', { config: { access: 'public' } }, async ({ principal }) => ({
    id: userOf(principal).subject.id,
  }))
}

const t = await createHttpApp(routes)
const me = (headers: Record<string, string>, url = '/me') => t.app.inject({ url, headers })

test('a good token opens a user’s route', async () => {
  for (const authorization of ['Bearer good', 'bearer good', 'BEARER  good', 'Bearer good.a-b_c~d+e/f==']) {
    const answer = await me({ authorization })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({ id: 'u1' })
  }
  expect((await t.app.inject({ method: 'HEAD', url: '/me' })).statusCode).toBe(401)
})

test.each<[string, Record<string, string>, string]>([
  ['no header', {}, NONE],
  ['the cookie only', { cookie: '__Host-refresh_token=good' }, NONE],
  ['another scheme', { authorization: 'Basic Z29vZDo=' }, NONE],
  ['the token without a scheme', { authorization: 'good' }, NONE],
  ['an empty token', { authorization: 'Bearer ' }, BAD],
  ['a bad token', { authorization: 'Bearer bad' }, BAD],
  ['a bad token by DPoP', { authorization: 'dpop bad' }, `${DPOP}, error="invalid_token", ${ALGS}`],
  ['two tokens', { authorization: 'Bearer good good' }, BAD],
  ['a list of tokens', { authorization: 'Bearer good, Bearer good' }, BAD],
  ['a token with other characters', { authorization: 'Bearer go"od' }, BAD],
  ['a token of more than 8 KiB', { authorization: `Bearer good${'d'.repeat(8200)}` }, BAD],
])('%s is answered 401 with the right challenge', async (_name, headers, expected) => {
  t.authenticated.length = 0
  const answer = await me(headers)
  expect(answer.statusCode).toBe(401)
  expect(answer.json().code).toBe('invalid_token')
  expect(answer.headers['www-authenticate']).toBe(expected)
  if (!headers.authorization?.endsWith(' bad')) expect(t.authenticated).toEqual([])
})

test('two Authorization headers are refused', async () => {
  for (const second of ['Bearer good', 'Basic x', '']) {
    const text = await t.send(request('GET /me', ['Host: a', 'Authorization: Bearer good', `Authorization: ${second}`]))
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
  }
})

test('a token in the query or the body is refused', async () => {
  expect((await me({}, '/me?access_token=good')).statusCode).toBe(400)
  const answer = await t.app.inject({ method: 'POST', url: '/password', payload: { access_token: 'good' } })
  expect(answer.statusCode).toBe(401)
})

test('a token without the scope is answered 403 and told which', async () => {
  const answer = await me({ authorization: 'Bearer good-narrow' })
  expect(answer.statusCode).toBe(403)
  expect(answer.json().code).toBe('insufficient_scope')
  expect(answer.headers['www-authenticate']).toBe(`${REALM}, error="insufficient_scope", scope="account"`)
})

test('a token of another kind of caller is answered 403, and no scope would help', async () => {
  const answer = await me({ authorization: 'Bearer good-machine' })
  expect([answer.statusCode, answer.json().code]).toEqual([403, 'insufficient_scope'])
  expect(answer.headers['www-authenticate']).toBe(`${REALM}, error="insufficient_scope"`)
})

test('where a token is optional, whoever sends one is known, and nobody is known by a cookie', async () => {
  const confirm = (headers: Record<string, string>) => t.app.inject({ method: 'POST', url: '/confirm', headers })
  expect((await confirm({})).json()).toEqual({ id: null })
  expect((await confirm({ cookie: '__Host-refresh_token=good' })).json()).toEqual({ id: null })
  expect((await confirm({ authorization: 'Bearer good' })).json()).toEqual({ id: 'u1' })
})

test.each([
  ['Bearer bad', 401],
  ['Bearer ', 401],
  ['Basic Z29vZDo=', 401],
  ['Bearer good-narrow', 403],
  ['Bearer good-machine', 403],
])('where a token is optional, one that is sent and does not count (%s) is refused', async (authorization, status) => {
  const answer = await t.app.inject({ method: 'POST', url: '/confirm', headers: { authorization } })
  expect(answer.statusCode).toBe(status)
  expect(answer.headers['www-authenticate']).toContain(REALM)
})

test('who may not call learns nothing of the body', async () => {
  const payload = 'x'.repeat(20000)
  const answer = await t.app.inject({
    method: 'POST',
    url: '/password',
    payload,
    headers: { 'content-type': 'text/plain' },
  })
  expect(answer.statusCode).toBe(401)
})

test('a public route asks for no token and knows no principal', async () => {
  t.authenticated.length = 0
  expect((await me({ authorization: 'Bearer bad' }, '/open')).statusCode).toBe(200)
  expect((await me({ authorization: 'Bearer good' }, '/careless')).statusCode).toBe(500)
  expect(t.authenticated).toEqual([])
})

test.each([[undefined], [{}], [{ access: 'everyone' }], [{ access: 'machine' }], [{ limit: 'login' }]])(
  'a route with config %j does not boot',
  async (config) => {
    const boot = createHttpApp((app) => {
      app.get('/x', { config: config as never }, async () => ({}))
    })
    await expect(boot).rejects.toThrow('GET /x declares no access')
  },
)
