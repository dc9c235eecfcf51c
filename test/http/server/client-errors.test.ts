import { expect, test } from 'vitest'
import { ALWAYS, createHttpApp, request } from '../support.ts'
import { calls, HOST, surface } from '../surface.ts'

// What Node would answer by itself.

const t = await createHttpApp(surface)

const POST = 'POST /login HTTP/1.1\r\nHost: a\r\n'
const CHUNKED = `${POST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
test.each<[string, string, number, string]>([
  ['a header without a colon', 'GET /g HTTP/1.1\r\nHost a\r\n\r\n', 400, 'invalid_request'],
  ['too many headers', `GET /g HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(17000)}\r\n\r\n`, 431, 'headers_too_large'],
  ['a length and chunks', `${POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400, 'invalid_request'],
  ['two lengths', `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400, 'invalid_request'],
  ['a length that is none', `${POST}Content-Length: x\r\n\r\n`, 400, 'invalid_request'],
  ['another transfer coding', `${POST}Transfer-Encoding: gzip\r\n\r\n`, 400, 'invalid_request'],
  ['a chunk that is none', `${CHUNKED}z\r\n`, 400, 'invalid_request'],
  ['an endless chunk extension', `${CHUNKED}1;${'x'.repeat(17000)}`, 413, 'payload_too_large'],
  ['a folded header', 'GET /g HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400, 'invalid_request'],
  ['U+0000 in a header', 'GET /g HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400, 'invalid_request'],
  ['a method that is none', 'G@T /g HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
  ['HTTP/0.9', 'GET /g\r\n\r\n', 400, 'invalid_request'],
  ['HTTP/3', 'GET /g HTTP/3.0\r\nHost: a\r\n\r\n', 400, 'invalid_request'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'invalid_request'],
  [
    'an expectation',
    'GET /g HTTP/1.1\r\nHost: a\r\nExpect: foo\r\nConnection: close\r\n\r\n',
    417,
    'expectation_failed',
  ],
  [
    'an empty expectation',
    'GET /g HTTP/1.1\r\nHost: a\r\nExpect:\r\nConnection: close\r\n\r\n',
    417,
    'expectation_failed',
  ],
  [
    'an expectation of a document',
    'GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\nExpect: foo\r\nConnection: close\r\n\r\n',
    417,
    'expectation_failed',
  ],
  [
    'an expectation, and no path',
    'POST /nothing HTTP/1.1\r\nHost: a\r\nExpect: foo\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}',
    417,
    'expectation_failed',
  ],
])('%s is answered as any fault is, though Node would write it', async (_name, bytes, status, code) => {
  calls.length = 0
  const text = await t.send(Buffer.from(bytes, 'latin1'))
  expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  for (const [name, value] of Object.entries(ALWAYS))
    expect(text.toLowerCase()).toContain(`\r\n${name}: ${value}\r\n`.toLowerCase())
  const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>
  expect(body.code).toBe(code)
  expect(text).toContain(`\r\nx-request-id: ${String(body.instance)}\r\n`)
  expect(calls).toEqual([])
})

test.each<[string, string, RegExp]>([
  [
    '100-continue',
    request('GET /g', [HOST, 'Expect: 100-Continue']),
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
  ],
  ['an expectation in HTTP/1.0', `GET /g HTTP/1.0\r\n${HOST}\r\nExpect: foo\r\n\r\n`, /^HTTP\/1\.1 200 /],
  [
    'WebSocket',
    request('GET /g', [
      HOST,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Key: a',
      'Sec-WebSocket-Version: 13',
    ]),
    /^HTTP\/1\.1 200 /,
  ],
  [
    'HTTP/2 by Upgrade',
    request('GET /g', [HOST, 'Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings']),
    /^HTTP\/1\.1 200 /,
  ],
  ['CONNECT', request('CONNECT auth.example.com:443', [HOST]), /^$/],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^$|^HTTP\/1\.1 400 /],
])('nothing that Node offers by itself is taken up: %s', async (_name, bytes, expected) => {
  const text = await t.send(bytes)
  expect(text).toMatch(expected)
  expect(text).not.toMatch(/^HTTP\/1\.1 101 /)
  if (text !== '') expect(text).toContain('\r\nx-content-type-options: nosniff\r\n')
})

test('slow requests are answered 408 with the headers of any other reply', async () => {
  const server = { requestTimeout: 300, headersTimeout: 300, connectionsCheckingInterval: 50 }
  await using slow = await createHttpApp(surface, { server })
  const beginnings = [
    'GET /g HTTP/1.1\r\nHost: a\r\nX-Slow: ',
    'POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{',
  ]
  for (const bytes of beginnings) {
    const text = await slow.send(bytes)
    expect(text).toMatch(/^HTTP\/1\.1 408 /)
    expect(text).toContain('"code":"request_timeout"')
    expect(text).toContain('x-content-type-options: nosniff')
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  }
})
