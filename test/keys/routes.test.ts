import Fastify from 'fastify'
import { beforeAll, describe, expect, test } from 'vitest'
import { createKeyring } from '../../src/keys/keyring.ts'
import { generateKey } from '../../src/keys/material.ts'
import { keySet } from '../../src/keys/routes.ts'

const { keyring, hold } = createKeyring()
beforeAll(async () => hold([{ ...(await generateKey(2048)), state: 'active' }]))

const KEY_SET = '/.well-known/jwks.json'
const CACHING = 'public, max-age=300, stale-while-revalidate=60, stale-if-error=86400'

const app = Fastify()
app.get(KEY_SET, { config: { access: 'public' }, ...keySet(keyring) })

test('the key set, from memory, with its type, caching and tag', async () => {
  const response = await app.inject(KEY_SET)
  expect(response.statusCode).toBe(200)
  expect(response.headers).toMatchObject({
    'content-type': 'application/jwk-set+json',
    'cache-control': CACHING,
    etag: keyring.jwks().etag,
    'cross-origin-resource-policy': 'cross-origin',
  })
  expect(response.rawPayload).toEqual(keyring.jwks().body)
})

test('HEAD says the same without the body', async () => {
  const [get, head] = await Promise.all([app.inject(KEY_SET), app.inject({ method: 'HEAD', url: KEY_SET })])
  expect(head.statusCode).toBe(200)
  expect(head.body).toBe('')
  for (const name of ['content-type', 'content-length', 'etag', 'cache-control']) {
    expect(head.headers[name]).toBe(get.headers[name])
  }
})

describe('If-None-Match', () => {
  const tag = () => keyring.jwks().etag
  test.each<[string, () => string, number]>([
    ['the same tag', tag, 304],
    ['weak', () => `W/${tag()}`, 304],
    ['in a list', () => `"other", W/"a,b", ${tag()}`, 304],
    ['anything', () => '*', 304],
    ['another', () => '"other"', 200],
    ['without quotes', () => tag().replaceAll('"', ''), 200],
    ['as part of another', () => `"x${tag().slice(1)}`, 200],
    ['empty', () => '', 200],
  ])('%s', async (_name, value, status) => {
    const response = await app.inject({ url: KEY_SET, headers: { 'if-none-match': value() } })
    expect(response.statusCode).toBe(status)
    expect(response.headers).toMatchObject({ etag: tag(), 'cache-control': CACHING })
    if (status === 304) expect(response.body).toBe('')
  })
})
