import { expect, test } from 'vitest'
import { createHttpApp } from '../support.ts'

const FORWARDED = { 'x-forwarded-for': '198.51.100.7', 'x-forwarded-proto': 'https' }

async function warningsOf(env: Record<string, string>, headers: Record<string, string>, peers: string[]) {
  await using t = await createHttpApp(
    (app) => void app.get('/g', { config: { access: 'public' } }, async () => ({ ok: true })),
    { env },
  )
  for (const remoteAddress of peers) {
    expect((await t.app.inject({ url: '/g', headers, remoteAddress })).statusCode).toBe(200)
  }
  return t.logs.filter(({ msg }) => String(msg).includes('TRUSTED_PROXIES')).map(({ level, peer }) => [level, peer])
}

test('a proxy that nobody has named is reported, once', async () => {
  const peers = ['172.28.0.1', '172.28.0.1', '::ffff:172.28.0.1', '10.0.0.9']
  const expected = [
    ['warn', '172.28.0.1'],
    ['warn', '10.0.0.9'],
  ]
  expect(await warningsOf({ TRUSTED_PROXIES: '127.0.0.1' }, FORWARDED, peers)).toEqual(expected)
  expect(await warningsOf({}, FORWARDED, peers)).toEqual(expected)
})

test.each<[string, Record<string, string>, Record<string, string>]>([
  ['the proxy that is named', { TRUSTED_PROXIES: '172.16.0.0/12' }, FORWARDED],
  ['that proxy, when it states no scheme', { TRUSTED_PROXIES: '172.16.0.0/12' }, { 'x-forwarded-for': '198.51.100.7' }],
  [
    'that proxy, when the client is a trusted one too',
    { TRUSTED_PROXIES: '172.16.0.0/12' },
    { 'x-forwarded-for': '172.28.0.5' },
  ],
  ['a request that was not forwarded', {}, {}],
  ['a server without TLS', { ISSUER: 'http://localhost:3000' }, FORWARDED],
])('nothing is reported of %s', async (_name, env, headers) => {
  expect(await warningsOf(env, headers, ['172.28.0.1'])).toEqual([])
})
