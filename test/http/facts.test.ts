import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { requestFacts } from '../../src/http/facts.ts'
import { normalAddress, trustedPeers } from '../../src/http/proxies.ts'
import { createHttpApp } from './support.ts'

const routes = (app: FastifyInstance): void => {
  app.get('/facts', { config: { access: 'public' } }, async (request) => requestFacts(request))
}
const direct = await createHttpApp(routes)
const proxied = await createHttpApp(routes, { env: { TRUSTED_PROXIES: '10.0.0.0/8,2001:db8::/32,192.0.2.7' } })

async function facts(t: typeof direct, remoteAddress: string, headers: Record<string, string> = {}) {
  const answer = await t.app.inject({
    url: '/facts',
    remoteAddress,
    headers: { 'x-forwarded-proto': 'https', ...headers },
  })
  expect(answer.statusCode).toBe(200)
  return answer.json<{ requestId: string; address: string | null; userAgent: string | null }>()
}

test('without a trusted proxy no header changes the address', async () => {
  const headers = {
    'x-forwarded-for': '1.1.1.1',
    forwarded: 'for=1.1.1.1',
    'x-real-ip': '1.1.1.1',
    'cf-connecting-ip': '1.1.1.1',
    'true-client-ip': '1.1.1.1',
  }
  expect((await facts(direct, '203.0.113.9', headers)).address).toBe('203.0.113.9')
  expect((await facts(proxied, '203.0.113.9', headers)).address).toBe('203.0.113.9')
  expect((await facts(direct, '::ffff:203.0.113.9', headers)).address).toBe('203.0.113.9')
})

test.each<[string, string, string, string]>([
  ['the one that the proxy saw', '10.1.1.1', '198.51.100.1', '198.51.100.1'],
  ['not what the client claims', '10.1.1.1', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
  ['behind two proxies', '10.1.1.1', '1.1.1.1, 198.51.100.1, 192.0.2.7, 10.9.9.9', '198.51.100.1'],
  ['behind a proxy with a mapped address', '::ffff:10.1.1.1', '198.51.100.1', '198.51.100.1'],
  ['behind a proxy with IPv6', '2001:db8::1', '2a00:1:2:3:0:0:0:4', '2a00:1:2:3::4'],
  ['with the port that some proxies add', '10.1.1.1', '198.51.100.1:4711', '198.51.100.1'],
  ['IPv6 with port', '10.1.1.1', '[2a00::1]:4711', '2a00::1'],
  ['the proxy where it hands on nonsense', '10.1.1.1', '<script>', '10.1.1.1'],
  ['the proxy where it hands on a name', '10.1.1.1', 'unknown', '10.1.1.1'],
  ['without the zone', '10.1.1.1', 'fe80::1%eth0', 'fe80::1'],
])('the address is %s', async (_name, peer, forwarded, address) => {
  expect((await facts(proxied, peer, { 'x-forwarded-for': forwarded })).address).toBe(address)
})

test('the user agent is cut and holds no control characters', async () => {
  expect((await facts(direct, '1.2.3.4', { 'user-agent': `a\tb\u009bc${'d'.repeat(300)}` })).userAgent).toBe(
    `abc${'d'.repeat(253)}`,
  )
  const none = await direct.app.inject({ url: '/facts', headers: { 'user-agent': '' } })
  expect(none.json().userAgent).toBe('')
})

test.each<[string, string | undefined]>([
  ['1.2.3.4', '1.2.3.4'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['::FFFF:102:304', '1.2.3.4'],
  ['::ffff:255.255.255.255', '255.255.255.255'],
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['1.2.3', undefined],
  ['01.2.3.4', undefined],
  ['1.2.3.4:99:1', undefined],
  ['[1.2.3.4', undefined],
  ['example.com', undefined],
  ['', undefined],
])('%j is %j', (text, address) => {
  expect(normalAddress(text)).toBe(address)
})

test('trusts single addresses, networks and nobody else', () => {
  const trusts = trustedPeers(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'])
  for (const address of ['10.255.0.1', '::ffff:10.0.0.1', '192.0.2.7', '2001:db8:ffff::1', '::1'])
    expect(trusts(address)).toBe(true)
  for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '::2', '', undefined, 'x'])
    expect(trusts(address)).toBe(false)
  expect(trustedPeers([])('127.0.0.1')).toBe(false)
})
