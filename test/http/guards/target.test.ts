import type { FastifyInstance } from 'fastify'
import { describe, expect, test } from 'vitest'
import { createHttpApp, request } from '../support.ts'
import { calls, HOST, surface } from '../surface.ts'

const t = await createHttpApp(surface)

describe('targets', () => {
  test.each<[string, string, RegExp]>([
    ['one Host', request('GET /g', [HOST]), /^HTTP\/1\.1 200 /],
    ['two Hosts', request('GET /g', [HOST, 'Host: evil.example']), /^HTTP\/1\.1 400 /],
    ['the same Host twice', request('GET /g', [HOST, HOST]), /^HTTP\/1\.1 400 /],
    ['no Host', request('GET /g', []), /^HTTP\/1\.1 400 /],
    ['an empty Host', request('GET /g', ['Host:']), /^HTTP\/1\.1 400 /],
    ['a Host that is none', request('GET /g', ['Host: a/b']), /^HTTP\/1\.1 400 /],
    ['absolute form', request('GET http://auth.example.com/g', [HOST]), /^HTTP\/1\.1 200 /],
    ['absolute form, upper case', request('GET HTTP://AUTH.example.com/g', [HOST]), /^HTTP\/1\.1 200 /],
    ['absolute form of another host', request('GET http://evil.example/g', [HOST]), /^HTTP\/1\.1 400 /],
    ['absolute form with user', request('GET http://auth.example.com@evil.example/g', [HOST]), /^HTTP\/1\.1 400 /],
    ['another scheme', request('GET ftp://auth.example.com/g', [HOST]), /^HTTP\/1\.1 40[04] /],
    ['an encoded letter', request('GET /%67', [HOST]), /^HTTP\/1\.1 404 /],
    ['an encoded letter in absolute form', request('GET http://auth.example.com/%67', [HOST]), /^HTTP\/1\.1 404 /],
    ['an encoded slash', request('DELETE /sessions%2Fx', [HOST]), /^HTTP\/1\.1 404 /],
    ['an encoded id', request('DELETE /sessions/%41', [HOST]), /^HTTP\/1\.1 404 /],
    ['a fragment', request('GET /g#x', [HOST]), /^HTTP\/1\.1 404 /],
    ['a backslash', request('GET \\g', [HOST]), /^HTTP\/1\.1 40[04] /],
    ['dots', request('GET /x/../g', [HOST]), /^HTTP\/1\.1 404 /],
    ['two slashes', request('GET //g', [HOST]), /^HTTP\/1\.1 404 /],
    ['a slash at the end', request('GET /g/', [HOST]), /^HTTP\/1\.1 404 /],
    ['a semicolon', request('GET /g;x', [HOST]), /^HTTP\/1\.1 404 /],
    ['an asterisk', request('OPTIONS *', [HOST]), /^HTTP\/1\.1 404 /],
  ])('%s', async (_name, bytes, status) => {
    calls.length = 0
    const text = await t.send(bytes)
    expect(text).toMatch(status)
    expect(calls).toHaveLength(text.startsWith('HTTP/1.1 200') ? 1 : 0)
    if (!text.startsWith('HTTP/1.1 200')) expect(text).toContain('application/problem+json')
  })

  test('HTTP/1.0 without Host passes: probes of load balancers look so', async () => {
    expect(await t.send('GET /livez HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('hosts outside the list are misdirected, except for probes', async () => {
    await using listed = await createHttpApp(surface, { env: { ALLOWED_HOSTS: 'auth.example.com,auth.internal:8080' } })
    const status = async (url: string, host: string) => (await listed.app.inject({ url, headers: { host } })).statusCode
    expect(await status('/g', 'auth.example.com')).toBe(200)
    expect(await status('/g', 'AUTH.example.com')).toBe(200)
    expect(await status('/g', 'auth.internal:8080')).toBe(200)
    for (const host of ['auth.internal', 'evil.example', 'auth.example.com.evil.example', 'auth.example.com:443']) {
      expect(await status('/g', host)).toBe(421)
    }
    expect(await status('/livez', '10.1.2.3:3000')).toBe(200)
  })

  test('plain http behind a TLS proxy is refused and not redirected', async () => {
    await using proxied = await createHttpApp(surface, { env: { TRUSTED_PROXIES: '127.0.0.1' } })
    const ask = async (app: FastifyInstance, url: string, proto: string) =>
      (await app.inject({ method: 'GET', url, headers: { 'x-forwarded-proto': proto } })).statusCode
    expect(await ask(proxied.app, '/g', 'http')).toBe(403)
    expect(await ask(proxied.app, '/g', 'https, http')).toBe(403)
    expect(await ask(proxied.app, '/g', 'https')).toBe(200)
    expect(await ask(proxied.app, '/livez', 'http')).toBe(200)
    expect((await proxied.app.inject({ url: '/g', headers: { 'x-forwarded-proto': 'http' } })).json().code).toBe(
      'tls_required',
    )
    // From a peer that is not trusted the header means nothing.
    expect(await ask(t.app, '/g', 'http')).toBe(200)
  })

  test.each([
    'token',
    'password',
    'Refresh_Token',
    'access_token',
    'code',
    'client_secret',
    'pass%77ord',
    'new_password',
    'id_token',
  ])('a URL with %s is refused and not logged', async (name) => {
    t.logs.length = 0
    calls.length = 0
    const answer = await t.app.inject({ method: 'POST', url: `/login?x=1&${name}=hunter2` })
    expect(answer.statusCode).toBe(400)
    expect(answer.body + JSON.stringify(t.logs)).not.toContain('hunter2')
    expect(calls).toEqual([])
  })

  test('parameters are not repeated', async () => {
    expect((await t.app.inject('/g?a=1&b=2')).statusCode).toBe(200)
    expect((await t.app.inject('/g?a=1&a=1')).statusCode).toBe(400)
    expect((await t.app.inject('/g?a=1&%61=2')).statusCode).toBe(400)
  })
})
