import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { expect, test } from 'vitest'
import { Problem, type ProblemCode, problems } from '../../../src/errors.ts'
import { oauthErrorBody, oauthErrorOf } from '../../../src/http/replies/oauth-errors.ts'
import { oauthEndpoint } from '../../../src/http/requests/endpoint.ts'
import { createHttpApp, ORIGIN, request } from '../support.ts'

const Body = Type.Object({ token: Type.String(), code: Type.Optional(Type.String()) })
const throwing = oauthEndpoint({ body: Body }, async (request) => {
  const { token, code } = request.body
  if (token === 'boom') throw new Error('the secret detail')
  if (code !== undefined) throw new Problem(code as ProblemCode, { retryAfter: 1.2 })
  return { token }
})

const routes = (app: FastifyInstance): void => {
  const { schema, handler, form, errors } = throwing
  app.post('/oauth/thing', {
    config: { access: 'public', cors: 'clients', limit: { none: 'test' }, form: form ?? false, errors },
    schema,
    handler,
  })
  const plain = { access: 'public', limit: { none: 'test' } } as const
  app.post('/plain', { config: plain }, async () => ({}))
  app.post('/mixed/oauth', { config: { ...plain, errors } }, async () => ({}))
  app.post('/mixed/plain', { config: plain }, async () => ({}))
}

const t = await createHttpApp(routes)

function send(payload: string, headers: Record<string, string> = {}, url = '/oauth/thing') {
  const type = 'application/x-www-form-urlencoded'
  return t.app.inject({ method: 'POST', url, payload, headers: { 'content-type': type, ...headers } })
}

/** Every code as OAuth clients see it. */
const SEEN: Partial<Record<ProblemCode, [status: number, error: string]>> = {
  invalid_client: [401, 'invalid_client'],
  invalid_grant: [400, 'invalid_grant'],
  unauthorized_client: [400, 'unauthorized_client'],
  unsupported_grant_type: [400, 'unsupported_grant_type'],
  unsupported_token_type: [400, 'unsupported_token_type'],
  invalid_scope: [400, 'invalid_scope'],
  invalid_target: [400, 'invalid_target'],
  invalid_dpop_proof: [400, 'invalid_dpop_proof'],
  use_dpop_nonce: [400, 'use_dpop_nonce'],
  too_many_requests: [429, 'temporarily_unavailable'],
  overloaded: [503, 'temporarily_unavailable'],
  unavailable: [503, 'temporarily_unavailable'],
  internal: [500, 'server_error'],
  token_too_large: [500, 'server_error'],
}

test.each(Object.entries(problems))('%s is answered as RFC 6749 has it', async (code, { status }) => {
  const answer = await send(`token=x&code=${code}`)
  const [expected, error] = SEEN[code as ProblemCode] ?? [status, 'invalid_request']
  expect([answer.statusCode, answer.json()]).toEqual([expected, { error, error_description: expect.any(String) }])
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'retry-after': '2',
    'x-request-id': expect.any(String),
  })
  // RFC 6749 §5.2: no other scheme than that by which clients may authenticate.
  const challenge = expected === 401 ? 'Basic realm="https://auth.example.com"' : undefined
  expect(answer.headers['www-authenticate']).toBe(challenge)
  expect(t.logs.at(-1)).toMatchObject({ code })
})

test.each<[string, number, Parameters<typeof send>]>([
  ['a parameter that is missing', 400, ['other=1']],
  ['no body', 400, ['']],
  ['a parameter named twice', 400, ['token=1&token=1']],
  ['JSON', 415, ['{"token":"x"}', { 'content-type': 'application/json' }]],
  ['a compressed body', 415, ['token=x', { 'content-encoding': 'gzip' }]],
  ['too long a body', 413, [`token=${'x'.repeat(17_000)}`]],
  ['a path that is not there', 404, ['token=x', {}, '/oauth/nothing']],
  ['a secret in the query', 400, ['token=x', {}, '/oauth/thing?token=x']],
  ['text', 415, ['x', { 'content-type': 'text/plain' }]],
])('the server’s own refusal of %s has that form too', async (_what, status, [payload, headers, url]) => {
  const answer = await send(payload, headers, url)
  expect([answer.statusCode, answer.json()]).toEqual([
    status,
    { error: 'invalid_request', error_description: expect.stringMatching(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/) },
  ])
})

test('a method that is not supported is answered 405 with Allow', async () => {
  const text = await t.send(request('GET /oauth/thing'))
  expect(text).toMatch(/^HTTP\/1\.1 405 /)
  expect(text).toContain('\r\nallow: POST\r\n')
  expect(text).toContain('{"error":"invalid_request",')
})

test('a fault of the server says nothing of itself', async () => {
  const answer = await send('token=boom')
  expect([answer.statusCode, answer.json()]).toEqual([
    500,
    { error: 'server_error', error_description: 'Something went wrong here' },
  ])
})

test('pages of our clients may read refusals', async () => {
  const answer = await send('', { origin: ORIGIN })
  expect(answer.statusCode).toBe(400)
  expect(answer.headers['access-control-allow-origin']).toBe(ORIGIN)
})

test('other paths keep their problem documents', async () => {
  for (const url of ['/plain', '/nothing', '/oauth', '/mixed/plain', '/mixed/nothing']) {
    const answer = await send('token=x', {}, url)
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([
      expect.toBeOneOf([404, 415]),
      'application/problem+json; charset=utf-8',
    ])
  }
})

test('parameters may come with what clients leave unescaped, unknown ones are ignored, empty ones are absent', async () => {
  for (const [form, token] of [
    ['token=https://a.example/b?c', 'https://a.example/b?c'],
    ['token=a%2Fb%3d=&other=1&scope', 'a/b=='],
    ['code=&token=a+b&', 'a b'],
    [Buffer.from('token=ü').toString('latin1'), 'ü'],
  ] as const) {
    const answer = await t.app.inject({
      method: 'POST',
      url: '/oauth/thing',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: Buffer.from(form, 'latin1'),
    })
    expect([answer.statusCode, answer.json()]).toEqual([200, { token }])
  }
  for (const form of ['token=', 'token', '&&', 'token=%', 'token=%e', 'token=%ff', 'token=%00', 'a&a&token=x']) {
    expect((await send(form)).statusCode, form).toBe(400)
  }
})

test('a description holds no character that RFC 6749 keeps out of it', () => {
  const said = (detail: string) => oauthErrorBody({ code: 'invalid_request', detail }).error_description
  expect(said('may not be "a\\b", the user’s ü')).toBe("may not be 'a'b', the user's ?")
  for (const code of Object.keys(problems) as ProblemCode[])
    expect(oauthErrorOf(code).description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
})
