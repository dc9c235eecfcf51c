import { describe, expect, test } from 'vitest'
import { createHttpApp, request } from '../support.ts'
import { calls, HOST, surface } from '../surface.ts'

const t = await createHttpApp(surface)

describe('methods', () => {
  test.each<[string, string, string]>([
    ['GET', '/login', 'POST'],
    ['HEAD', '/login', 'POST'],
    ['PUT', '/login', 'POST'],
    ['OPTIONS', '/login', 'POST'],
    ['POST', '/sessions', 'GET, HEAD, DELETE'],
    ['GET', '/sessions/abc', 'DELETE'],
    ['POST', '/.well-known/jwks.json', 'GET, HEAD'],
    ['TRACE', '/g', 'GET, HEAD'],
    ['PROPFIND', '/g', 'GET, HEAD'],
    ['QUERY', '/g', 'GET, HEAD'],
  ])('%s %s is answered 405 with Allow: %s', async (method, path, allow) => {
    calls.length = 0
    const text = await t.send(request(`${method} ${path}?x=1`))
    expect(text).toMatch(/^HTTP\/1\.1 405 /)
    expect(text).toContain(`\r\nallow: ${allow}\r\n`)
    expect(calls).toEqual([])
  })

  test('a path of nobody is answered 404, whatever the method and the body', async () => {
    for (const path of ['/nothing', '/sessions/a/b', '/login/', '/SESSIONS']) {
      for (const method of ['GET', 'POST', 'DELETE', 'TRACE', 'PROPFIND']) {
        const text = await t.send(
          request(`${method} ${path}`, [HOST, 'Content-Type: text/plain', 'Content-Length: 1'], 'x'),
        )
        expect(text).toMatch(/^HTTP\/1\.1 404 /)
      }
    }
  })

  test('no header and no parameter overrides the method', async () => {
    calls.length = 0
    const headers = { 'x-http-method-override': 'DELETE', 'x-method-override': 'DELETE' }
    await t.app.inject({ method: 'GET', url: '/sessions?_method=DELETE', headers })
    expect(calls).toEqual(['GET /sessions?_method=DELETE'])
  })

  test('CONNECT and unknown verbs reach nothing', async () => {
    calls.length = 0
    await t.send(request('CONNECT auth.example.com:443'))
    expect(await t.send(request('FOO /g'))).toMatch(/^HTTP\/1\.1 400 /)
    expect(calls).toEqual([])
  })
})
