import { describe, expect, test } from 'vitest'
import { problems } from '../../../src/errors.ts'
import type { OpenApi } from '../../../src/http/description/shapes.ts'
import { createTestApp } from '../../support/app.ts'

describe('the description', () => {
  test('is OpenAPI 3.1 and has words for every operation', async () => {
    await using t = await createTestApp()
    const answer = await t.inject({ url: '/openapi.json' })
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
    const api = answer.json<OpenApi>()
    expect(api.openapi).toMatch(/^3\.1\./)
    expect(api.servers).toEqual([{ url: t.config.ISSUER }])
    const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, ...operation })),
    )
    expect(operations.map(({ name }) => name)).toEqual(expect.arrayContaining(['post /refresh', 'get /docs']))
    for (const { name, summary, description, tags, responses } of operations) {
      expect(
        api.tags.map((tag) => tag.name),
        name,
      ).toContain(tags?.[0])
      expect([summary, description], name).toEqual([expect.any(String), expect.any(String)])
      for (const [status, { description: words }] of Object.entries(responses))
        expect(words, `${name} ${status}`).not.toBe('Default Response')
    }
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  })

  test('has an example of every problem', async () => {
    await using t = await createTestApp()
    const { paths } = (await t.inject({ url: '/openapi.json' })).json<OpenApi>()
    const replies = Object.values(paths).flatMap((methods) =>
      Object.values(methods).flatMap(({ responses }) => Object.values(responses)),
    )
    const types = ['application/problem+json', 'application/json']
    const codes = replies.flatMap(({ content }) =>
      types.flatMap((type) => Object.keys(content?.[type]?.examples ?? {})),
    )
    expect([...new Set(codes)].toSorted()).toEqual(Object.keys(problems).toSorted())
  })

  test.each(['/oauth/token', '/.well-known/revocations/receipts', '/login'])(
    'shows how %s refuses what is neither JSON nor a form as it refuses it',
    async (path) => {
      await using t = await createTestApp()
      const { paths } = (await t.inject({ url: '/openapi.json' })).json<OpenApi>()
      const answer = await t.inject({
        method: 'POST',
        url: path,
        headers: { 'content-type': 'text/plain' },
        payload: '{}',
      })
      const { instance: _id, ...told } = answer.json<Record<string, unknown>>()
      const [media] = Object.values(paths[path]?.post?.responses['415']?.content ?? {})
      expect(media?.examples?.unsupported_media_type?.value).toMatchObject(told)
    },
  )

  test('says for each operation who may call it, what goes in and what comes out', async () => {
    await using t = await createTestApp()
    const { paths } = (await t.inject({ url: '/openapi.json' })).json<OpenApi>()
    const refresh = paths['/refresh']?.post
    expect(refresh?.security).toEqual([{ refreshCookie: [] }, {}])
    expect(refresh?.requestBody?.required).toBe(false)
    expect(refresh?.parameters).toContainEqual(expect.objectContaining({ name: 'idempotency-key', in: 'header' }))
    expect(refresh?.responses['401']?.content?.['application/problem+json']?.examples).toHaveProperty('invalid_grant')
    const me = paths['/me']?.get
    expect(me?.security).toEqual([{ accessToken: [] }, { boundToken: [] }])
    expect(me?.responses['401']).toMatchObject({
      headers: { 'WWW-Authenticate': {}, 'DPoP-Nonce': {} },
      content: { 'application/problem+json': { examples: { use_dpop_nonce: { value: { status: 401 } } } } },
    })
    expect(me?.responses['200']?.content?.['application/json']?.schema?.properties).toHaveProperty('email')
    const revoke = paths['/oauth/revoke']?.post
    expect(Object.keys(revoke?.requestBody?.content ?? {})).toEqual(['application/x-www-form-urlencoded'])
    expect(revoke?.responses['401']).toMatchObject({
      headers: { 'WWW-Authenticate': expect.objectContaining({ description: expect.stringContaining('Basic') }) },
      content: {
        'application/json': {
          schema: { $ref: '#/components/schemas/OAuthError' },
          examples: { invalid_client: { value: { error: 'invalid_client' } } },
        },
      },
    })
    const stream = paths['/.well-known/revocations/stream']?.get
    expect(stream?.security).toEqual([{}, { clientSecret: [] }, { feedToken: [] }])
    expect(stream?.parameters).toEqual([expect.objectContaining({ name: 'last-event-id', in: 'header' })])
    expect(Object.keys(stream?.responses ?? {})).toEqual(['200', '400', '401', '429', '503', 'default'])
    expect(paths['/.well-known/revocations']?.get?.responses).toHaveProperty('503')
    const login = paths['/login']?.post
    expect(login?.requestBody?.content['application/json']?.schema?.required).toEqual(['email', 'password'])
    expect(Object.keys(login?.responses ?? {})).toEqual([
      '200',
      '400',
      '401',
      '403',
      '413',
      '415',
      '429',
      '500',
      '503',
      'default',
    ])
  })
})

describe('the page', () => {
  test('is of files from here, each with its type, and another name is 404', async () => {
    await using t = await createTestApp()
    const page = await t.inject({ url: '/docs' })
    expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url = '']) => url)
    expect(files).toHaveLength(4)
    for (const url of files) {
      const file = await t.inject({ url })
      const type = url.endsWith('.css') ? 'text/css' : 'text/javascript'
      expect([file.statusCode, file.headers['content-type']], url).toEqual([200, `${type}; charset=utf-8`])
      // The page has an origin of its own, to which these are another's.
      expect(file.headers['cross-origin-resource-policy']).toBe('cross-origin')
    }
    for (const url of ['/docs/', '/docs/package.json', '/docs/constructor', '/docs/..%2fpackage.json']) {
      expect((await t.inject({ url })).statusCode, url).toBe(404)
    }
  })

  test('has no part in the issuer’s origin and may connect to nothing; other replies keep their policy', async () => {
    await using t = await createTestApp()
    const policy = String((await t.inject({ url: '/docs' })).headers['content-security-policy']).split('; ')
    expect(policy).toContain("default-src 'none'")
    expect(policy.find((each) => each.startsWith('sandbox'))).not.toContain('allow-same-origin')
    expect(policy.filter((each) => /^connect-src|unsafe|\*|https?:/.test(each))).toEqual([])
    const other = await t.inject({ url: '/openapi.json', headers: { origin: 'https://elsewhere.example' } })
    const script = await t.inject({ url: '/docs/start.js', headers: { origin: 'https://elsewhere.example' } })
    for (const { headers } of [other, script]) expect(headers).not.toHaveProperty('access-control-allow-origin')
    expect(script.headers['cross-origin-resource-policy']).toBe('cross-origin')
    expect(other.headers['content-security-policy']).not.toContain('script-src')
  })
})

test('in production both are absent unless they are asked for', async () => {
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }
  await using t = await createTestApp({ env: production })
  for (const url of ['/docs', '/docs/start.js', '/openapi.json']) {
    const answer = await t.inject({ url })
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([404, 'not_found'])
  }
  await using asked = await createTestApp({ env: { ...production, DOCS: 'true' } })
  expect((await asked.inject({ url: '/docs' })).statusCode).toBe(200)
})

describe('GET /', () => {
  test('says what this is, and where the rest is, whatever Host says', async () => {
    await using t = await createTestApp()
    const { ISSUER } = t.config
    const answer = await t.inject({ url: '/', headers: { host: 'elsewhere.example', accept: 'text/html' } })
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
    const about = answer.json<Record<string, string>>()
    expect(about).toEqual({
      name: 'Claviger',
      about: expect.stringContaining('auth server'),
      issuer: ISSUER,
      metadata: `${ISSUER}/.well-known/oauth-authorization-server`,
      jwks_uri: `${ISSUER}/.well-known/jwks.json`,
      docs: `${ISSUER}/docs`,
      openapi: `${ISSUER}/openapi.json`,
    })
    for (const name of ['metadata', 'jwks_uri', 'docs', 'openapi']) {
      expect((await t.inject({ url: about[name]?.slice(ISSUER.length) ?? '' })).statusCode, name).toBe(200)
    }
    const head = await t.inject({ method: 'HEAD', url: '/' })
    expect([head.statusCode, head.body]).toEqual([200, ''])
    expect((await t.inject({ method: 'POST', url: '/' })).headers.allow).toBe('GET, HEAD')
  })

  test('does not lead to what is switched off', async () => {
    await using t = await createTestApp({ env: { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' } })
    const about = (await t.inject({ url: '/' })).json<Record<string, string>>()
    expect(Object.keys(about)).toEqual(['name', 'about', 'issuer', 'metadata', 'jwks_uri'])
  })
})
