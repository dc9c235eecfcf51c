import type { FastifyInstance } from 'fastify'
import { describe, expect, test } from 'vitest'
import { normalAddress, sources, trustedPeers } from '../../../src/http/guards/proxies.ts'
import { operationOf } from '../../../src/http/requests/facts.ts'
import { createHttpApp, request } from '../support.ts'

const routes = (app: FastifyInstance): void => {
  app.get('/facts', { config: { access: 'public' } }, async (request) => operationOf(request, new Date(0)).facts)
  app.get('/public', { config: { access: 'public' } }, async (request) => operationOf(request, new Date(0)))
  app.get('/user', { config: { access: 'user' } }, async (request) => operationOf(request, new Date(0)))
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
  ['behind an inner proxy with a port', '10.1.1.1', '1.1.1.1, 198.51.100.1, 10.9.9.9:5501', '198.51.100.1'],
  ['behind an inner proxy in brackets', '10.1.1.1', '198.51.100.1, [2001:db8::9]:443, 192.0.2.7', '198.51.100.1'],
  ['behind an inner proxy in another spelling', '10.1.1.1', '198.51.100.1, ::ffff:10.9.9.9', '198.51.100.1'],
  ['behind an inner proxy, with tabs and spaces', '10.1.1.1', ' 198.51.100.1\t,  10.9.9.9 ', '198.51.100.1'],
  ['the inner proxy where it hands on nonsense', '10.1.1.1', '1.1.1.1, unknown, 10.9.9.9', '10.9.9.9'],
  ['the inner proxy where it hands on nothing', '10.1.1.1', '1.1.1.1, , 10.9.9.9', '10.9.9.9'],
  ['the first one where all are proxies', '10.1.1.1', '10.7.7.7, 10.9.9.9', '10.7.7.7'],
  ['the proxy where it says nothing', '10.1.1.1', '', '10.1.1.1'],
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
  // IPv4-compatible (RFC 4291 §2.5.5.1), and an address of the Internet: not IPv4-mapped.
  ['::1.2.3.4', '::102:304'],
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
  for (const address of ['11.0.0.1', '::10.0.0.1', '192.0.2.8', '2001:db9::1', '::2', '', undefined, 'x'])
    expect(trusts(address)).toBe(false)
  expect(trustedPeers([])('127.0.0.1')).toBe(false)
})

describe('what came before the trusted proxies', () => {
  const from = sources(['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'])
  const source = (peer: string, sent: Record<string, string>) =>
    from({ socket: { remoteAddress: peer }, headers: sent } as never)

  test.each<[string, string | undefined, string | undefined, string | undefined]>([
    // What it shows, X-Forwarded-For, X-Forwarded-Proto, scheme of the client.
    ['one proxy', '203.0.113.9', 'https', 'https'],
    ['one proxy over plain http', '203.0.113.9', 'http', 'http'],
    ['one proxy that says nothing', '203.0.113.9', undefined, undefined],
    ['one proxy, and a claim of the client', '203.0.113.9', 'https, http', 'http'],
    ['one proxy, and a claim of the client in both', '1.1.1.1, 203.0.113.9', 'https, http', 'http'],
    ['two proxies, each with its own', '203.0.113.9, 10.0.0.7', 'https, http', 'https'],
    ['two proxies, the outer over plain http', '203.0.113.9, 10.0.0.7', 'http, https', 'http'],
    ['two proxies and a claim of the client', '1.1.1.1, 203.0.113.9, 10.0.0.7', 'https, http, https', 'http'],
    ['two proxies, of which the inner has a port', '203.0.113.9:4711, 10.0.0.7:55', 'https, http', 'https'],
    ['two proxies, of which the inner says nothing', '203.0.113.9, 10.0.0.7', 'https', 'https'],
    ['two proxies, of which the inner knows itself only', '203.0.113.9, 10.0.0.7', 'http', 'http'],
    ['three proxies', '203.0.113.9, 2001:db8::5, 10.0.0.7', 'https, http, http', 'https'],
    ['three proxies with two schemes', '203.0.113.9, 10.0.0.8, 10.0.0.7', 'https, http', 'https'],
    ['two proxies behind nonsense', 'unknown, 10.0.0.7', 'https, http', 'https'],
    ['proxies only', '10.0.0.8, 10.0.0.7', 'https, http', 'https'],
    ['a scheme without an address', undefined, 'https, http', 'http'],
    ['no scheme where one belongs', '203.0.113.9', '', undefined],
    ['no scheme of the outer one', '203.0.113.9, 10.0.0.7', ', http', undefined],
    ['spaces, tabs and capitals', ' 203.0.113.9 ,10.0.0.7', ' HTTPS\t, http', 'https'],
  ])('%s', (_name, addresses, schemes, scheme) => {
    const sent = {
      ...(addresses === undefined ? {} : { 'x-forwarded-for': addresses }),
      ...(schemes === undefined ? {} : { 'x-forwarded-proto': schemes }),
    }
    expect(source('127.0.0.1', sent).protocol).toBe(scheme)
    expect(source('::ffff:127.0.0.1', sent).protocol).toBe(scheme)
    // From a peer that is not trusted the headers mean nothing.
    expect(source('203.0.113.1', sent)).toEqual({ address: '203.0.113.1', protocol: undefined })
  })

  test('no header but these two is read', () => {
    const sent = {
      forwarded: 'for=1.1.1.1;proto=http',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-scheme': 'http',
      'x-real-ip': '1.1.1.1',
      via: '1.1 evil',
    }
    expect(source('127.0.0.1', sent)).toEqual({ address: '127.0.0.1', protocol: undefined })
  })
})

test('repeated header lines are one list', async () => {
  await using t = await createHttpApp(routes, { env: { TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' } })
  const ask = (proto: string[]) =>
    t.send(
      request('GET /facts', [
        'Host: auth.example.com',
        'X-Forwarded-For: 203.0.113.9',
        'X-Forwarded-For: 10.0.0.7',
        ...proto,
      ]),
    )
  const passed = await ask(['X-Forwarded-Proto: https', 'X-Forwarded-Proto: http'])
  expect(passed).toMatch(/^HTTP\/1\.1 200 /)
  expect(passed).toContain('"address":"203.0.113.9"')
  expect(await ask(['X-Forwarded-Proto: http', 'X-Forwarded-Proto: https'])).toContain('"code":"tls_required"')
})

test('the log has the address, and nothing else of what was forwarded', async () => {
  proxied.logs.length = 0
  await facts(proxied, '::ffff:10.1.1.1', { 'x-forwarded-for': 'hunter2, [2A00::1]:4711, 10.9.9.9:1' })
  await facts(proxied, '10.1.1.1', { 'x-forwarded-for': '<script>hunter2</script>' })
  await facts(direct, '::ffff:203.0.113.9')
  expect(proxied.logs.map(({ address }) => address)).toEqual(['2a00::1', '10.1.1.1'])
  expect(direct.logs.at(-1)?.address).toBe('203.0.113.9')
  expect(JSON.stringify(proxied.logs)).not.toContain('hunter2')
})

test('the actor is who the route knows: a token on a public one names nobody', async () => {
  const headers = { 'x-forwarded-proto': 'https', authorization: 'Bearer good' }
  const [open, user] = [
    await direct.app.inject({ url: '/public', headers }),
    await direct.app.inject({ url: '/user', headers }),
  ]
  expect(open.json()).toMatchObject({ now: '1970-01-01T00:00:00.000Z', actor: 'anonymous' })
  expect(user.json()).toMatchObject({ now: '1970-01-01T00:00:00.000Z', actor: 'user:u1' })
})
