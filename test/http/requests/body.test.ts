import { Type } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { createHttpApp, request } from '../support.ts'

const handled: unknown[] = []

const routes = (app: FastifyInstance): void => {
  const keep = async (req: { body: unknown }) => {
    handled.push(req.body)
    return { body: req.body }
  }
  const strict = { additionalProperties: false }
  app.post(
    '/needs',
    { config: { access: 'public' }, schema: { body: Type.Object({ text: Type.String() }, strict) } },
    keep,
  )
  app.post(
    '/may',
    {
      config: { access: 'public' },
      schema: { body: Type.Optional(Type.Object({ text: Type.Optional(Type.String()) }, strict)) },
    },
    keep,
  )
  app.post('/any', { config: { access: 'public' }, schema: { body: Type.Unknown() } }, keep)
  app.post('/none', { config: { access: 'public' } }, keep)
  app.delete('/none', { config: { access: 'public' } }, keep)
  app.get('/read', { config: { access: 'public' } }, async () => ({}))
}

const t = await createHttpApp(routes)
const json = { 'content-type': 'application/json' }

async function post(url: string, payload: string | Buffer, headers: Record<string, string> = json) {
  handled.length = 0
  return t.app.inject({ method: 'POST', url, payload, headers })
}

test.each([
  'application/json',
  'application/json; charset=utf-8',
  'application/json;charset=UTF-8',
  'Application/JSON; charset="utf-8"',
])('accepts %s', async (type) => {
  const answer = await post('/needs', '{"text":"a"}', { 'content-type': type })
  expect(answer.statusCode).toBe(200)
  expect(handled).toEqual([{ text: 'a' }])
})

test.each([
  'text/plain',
  'text/plain;charset=utf-8',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded',
  'application/json;x',
  'application/json; charset=utf-16',
  'application/json; charset=utf-8; charset=utf-16',
  'application/json; charset="utf-8',
  'application/json\t; charset=utf-8',
  'application/json ;charset=utf-8',
  '\tapplication/json\ta',
  'application/json, text/plain',
  'application/json;',
  'application/jsonp',
  'application/problem+json',
  '*/*',
  'json',
])('refuses %j before the handler', async (type) => {
  for (const url of ['/needs', '/any', '/none']) {
    const answer = await post(url, '{"text":"a"}', { 'content-type': type })
    expect(answer.statusCode).toBe(415)
    expect(answer.json()).toMatchObject({ code: 'unsupported_media_type', status: 415 })
    expect(handled).toEqual([])
  }
})

test('refuses a body without a content type', async () => {
  const text = await t.send(request('POST /needs', ['Host: a', 'Content-Length: 12'], '{"text":"a"}'))
  expect(text).toMatch(/^HTTP\/1\.1 415 /)
  const chunked = await t.send(
    request('POST /needs', ['Host: a', 'Transfer-Encoding: chunked'], 'c\r\n{"text":"a"}\r\n0\r\n\r\n'),
  )
  expect(chunked).toMatch(/^HTTP\/1\.1 415 /)
})

test.each(['gzip', 'br', 'identity, gzip', 'x'])('refuses Content-Encoding %s', async (encoding) => {
  const answer = await post('/needs', '{"text":"a"}', { ...json, 'content-encoding': encoding })
  expect(answer.statusCode).toBe(415)
})

test('accepts Content-Encoding identity', async () => {
  expect((await post('/needs', '{"text":"a"}', { ...json, 'content-encoding': 'identity' })).statusCode).toBe(200)
})

const deep = (levels: number, inner = '1') => '{"a":'.repeat(levels) + inner + '}'.repeat(levels)

test.each<[string, string | Buffer]>([
  ['malformed', '{"text":'],
  ['trailing garbage', '{"text":"a"} x'],
  ['two documents', '{"text":"a"}{"text":"a"}'],
  ['BOM', Buffer.from('\ufeff{"text":"a"}')],
  ['UTF-16', Buffer.from('{"text":"a"}', 'utf16le')],
  ['invalid UTF-8', Buffer.concat([Buffer.from('{"text":"'), Buffer.from([0xff]), Buffer.from('"}')])],
  ['overlong UTF-8', Buffer.concat([Buffer.from('{"text":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])],
  ['surrogate in UTF-8', Buffer.concat([Buffer.from('{"text":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')])],
  ['lone high surrogate', '{"text":"a\\ud800b"}'],
  ['lone low surrogate', '{"text":"\\udc00"}'],
  ['surrogates in the wrong order', '{"text":"\\udc00\\ud800"}'],
  ['U+0000', '{"text":"a\\u0000"}'],
  ['U+0000 in a name', '{"a\\u0000":1}'],
  ['lone surrogate in a name', '{"\\ud800":1}'],
  ['lone surrogate in an array', '{"a":["\\udfff"]}'],
  ['__proto__', '{"__proto__":{"admin":true}}'],
  ['__proto__ in disguise', '{"\\u005f_proto__":{"admin":true}}'],
  ['constructor, deep', '{"a":[{"constructor":1}]}'],
  ['prototype', '{"a":{"prototype":1}}'],
  ['a name twice', '{"text":"a","text":"b"}'],
  ['a name twice, once escaped', '{"text":"a","te\\u0078t":"b"}'],
  ['a name twice, deep', '{"a":[1,{"b":1,"c":{"b":2},"b":3}]}'],
  ['six levels', deep(6)],
  ['six levels of arrays', '[[[[[[1]]]]]]'],
  ['8000 levels', '['.repeat(8000) + ']'.repeat(8000)],
  ['NaN', '{"a":NaN}'],
  ['a comment', '{/**/"text":"a"}'],
  ['empty', ''],
  ['only space', '  '],
])('refuses %s with 400 and repeats nothing', async (_name, payload) => {
  const answer = await post('/needs', payload)
  expect(answer.statusCode).toBe(400)
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  expect(answer.json().code).toBe('invalid_request')
  expect(answer.body).not.toContain('text"')
  expect(answer.body).not.toContain('admin')
  expect(handled).toEqual([])
  if (_name !== 'empty') expect((await post('/any', payload)).statusCode).toBe(400)
})

test.each<[string, unknown]>([
  [deep(5), { a: { a: { a: { a: { a: 1 } } } } }],
  [
    '{"a":{"x":1},"b":{"x":2},"c":["x","x","a:b","{[\\"}]"]}',
    { a: { x: 1 }, b: { x: 2 }, c: ['x', 'x', 'a:b', '{["}]'] },
  ],
  ['{ "a" : "\\ud83d\\ude00" , "b\\\\" : "😀", "b" : "\\\\" }', { a: '😀', 'b\\': '😀', b: '\\' }],
  ['{"":"constructor","":1}'.replace(',"":1', ''), { '': 'constructor' }],
  ['[]', []],
])('accepts %s', async (payload, value) => {
  const answer = await post('/any', payload)
  expect(answer.statusCode).toBe(200)
  expect(handled).toEqual([value])
  expect(({} as { admin?: boolean }).admin).toBeUndefined()
})

test.each([['12345678'], ['true'], ['null'], ['["x"]'], ['{"a":1}']])(
  'does not turn %s into a string',
  async (value) => {
    const answer = await post('/needs', `{"text":${value}}`)
    expect(answer.statusCode).toBe(400)
    expect(answer.json().detail).toBe('body/text must be string')
    expect(handled).toEqual([])
  },
)

test('says which fields there are and which is missing, and repeats nothing that was sent', async () => {
  const unknown = await post('/needs', '{"text":"a","role":"hunter2"}')
  expect(unknown.statusCode).toBe(400)
  expect(unknown.json().detail).toBe('body must NOT have additional properties: it may have text')
  const missing = await post('/needs', '{}')
  expect(missing.json().detail).toBe("body must have required property 'text'")
  const strange = await post('/needs', '{"text":"a","<script>alert(1)</script>":1}')
  expect(strange.body).not.toContain('script')
})

test('limits the body to 16 KiB, stated or not', async () => {
  const fits = JSON.stringify({ text: 'a'.repeat(16 * 1024 - 11) })
  expect(fits).toHaveLength(16 * 1024)
  expect((await post('/needs', fits)).statusCode).toBe(200)
  const tooLong = JSON.stringify({ text: 'a'.repeat(16 * 1024 - 10) })
  const answer = await post('/needs', tooLong)
  expect(answer.statusCode).toBe(413)
  expect(answer.json().code).toBe('payload_too_large')
  const chunk = 'a'.repeat(17000)
  const chunked = await t.send(
    request(
      'POST /needs',
      ['Host: a', 'Content-Type: application/json', 'Transfer-Encoding: chunked'],
      `${chunk.length.toString(16)}\r\n${chunk}\r\n0\r\n\r\n`,
    ),
  )
  expect(chunked).toMatch(/^HTTP\/1\.1 413 /)
})

test.each<[string, Record<string, string>]>([
  ['nothing', {}],
  ['a length of 0', { 'content-length': '0' }],
  ['a content type', json],
  ['another content type and a length of 0', { 'content-type': 'text/plain', 'content-length': '0' }],
])('an endpoint that needs no body accepts %s', async (_name, headers) => {
  for (const url of ['/may', '/none']) {
    handled.length = 0
    const answer = await t.app.inject({ method: 'POST', url, headers })
    expect(answer.statusCode).toBe(200)
    expect(handled).toEqual([url === '/may' ? {} : undefined])
  }
  expect((await t.app.inject({ method: 'POST', url: '/needs', headers })).statusCode).toBe(400)
})

/** However its absence is framed. The first line lacks the method and the path. */
const NOTHING: [string, string[], string?, string?][] = [
  ['no length', []],
  ['a length of 0', ['Content-Length: 0']],
  ['a length of 00', ['Content-Length: 00']],
  ['no chunks', ['Transfer-Encoding: chunked'], '0\r\n\r\n'],
  ['no chunks, in other letters', ['transfer-encoding: CHUNKED'], '0\r\n\r\n'],
  ['no chunks but a trailer', ['Transfer-Encoding: chunked', 'Trailer: X-Sum'], '0\r\nX-Sum: 1\r\n\r\n'],
  ['no chunks, with an extension', ['Transfer-Encoding: chunked'], '0;x=1\r\n\r\n'],
  ['no chunks, announced', ['Transfer-Encoding: chunked', 'Expect: 100-continue'], '0\r\n\r\n'],
  ['a length of 0, announced', ['Content-Length: 0', 'Expect: 100-continue']],
  ...['application/json', 'text/plain', 'json', '', 'a/b/c', 'application/json; charset=utf-16'].flatMap(
    (type): [string, string[], string?][] => [
      [`no chunks of ${JSON.stringify(type)}`, [`Content-Type: ${type}`, 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
      [`a length of 0 of ${JSON.stringify(type)}`, [`Content-Type: ${type}`, 'Content-Length: 0']],
      [`no length of ${JSON.stringify(type)}`, [`Content-Type: ${type}`]],
    ],
  ),
  ['no chunks, compressed', ['Content-Encoding: gzip', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
  ['a length of 0, compressed', ['Content-Encoding: gzip', 'Content-Length: 0']],
  ['nothing in HTTP/1.0', [], '', 'HTTP/1.0'],
  ['a length of 0 in HTTP/1.0', ['Content-Length: 0', 'Content-Type: text/plain'], '', 'HTTP/1.0'],
]

test.each(NOTHING)('no content is no content: %s', async (_name, headers, body = '', version = 'HTTP/1.1') => {
  const send = (line: string) =>
    t.send([`${line} ${version}`, 'Host: a', 'Connection: close', ...headers, '', body].join('\r\n'))
  for (const line of ['POST /may', 'POST /none', 'DELETE /none']) {
    handled.length = 0
    const text = await send(line)
    expect(text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')).toMatch(/^HTTP\/1\.1 200 /)
    expect(handled).toEqual([line === 'POST /may' ? {} : undefined])
  }
  expect(await send('POST /needs')).toMatch(/^(HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 400 /)
  expect(await send('GET /read')).toMatch(/^(HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 200 /)
  expect(await send('HEAD /read')).toMatch(/^(HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 200 /)
})

test('one byte is content, however it is framed', async () => {
  for (const type of ['text/plain', 'json', '', undefined]) {
    const typed = type === undefined ? [] : [`Content-Type: ${type}`]
    for (const [headers, body] of [
      [['Transfer-Encoding: chunked'], '1\r\n \r\n0\r\n\r\n'],
      [['Content-Length: 1'], ' '],
    ] as const) {
      for (const path of ['/may', '/none', '/needs']) {
        handled.length = 0
        expect(await t.send(request(`POST ${path}`, ['Host: a', ...typed, ...headers], body))).toMatch(
          /^HTTP\/1\.1 415 /,
        )
        expect(handled).toEqual([])
      }
    }
  }
})

test('content with a method that has no use for it is passed over', async () => {
  for (const headers of [['Content-Type: text/plain', 'Content-Length: 3'], ['Content-Length: 3']]) {
    expect(await t.send(request('GET /read', ['Host: a', ...headers], 'abc'))).toMatch(/^HTTP\/1\.1 200 /)
  }
})

test('a wrong type is refused before its content has come', async () => {
  const headers = ['Host: a', 'Content-Type: text/plain', 'Content-Length: 9']
  expect(await t.send(request('POST /may', headers))).toMatch(/^HTTP\/1\.1 415 /)
})

test('an endpoint without a body refuses content, but not an empty object', async () => {
  expect((await post('/none', '{}')).statusCode).toBe(200)
  expect((await post('/none', '{"role":"admin"}')).statusCode).toBe(400)
  expect((await post('/none', 'null')).statusCode).toBe(400)
  const deleted = await t.app.inject({ method: 'DELETE', url: '/none', headers: json, payload: '{"a":1}' })
  expect(deleted.statusCode).toBe(400)
})

test('null is not an object', async () => {
  expect((await post('/may', 'null')).statusCode).toBe(400)
})
