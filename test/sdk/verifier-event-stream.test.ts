import { expect, test } from 'vitest'
import { createEventParser, type ServerEvent } from '../../sdk/verifier/src/revocations/event-stream.ts'

const encoder = new TextEncoder()
const parse = (...chunks: (string | Uint8Array)[]): ServerEvent[] => {
  const take = createEventParser()
  return chunks.flatMap((chunk) => take(typeof chunk === 'string' ? encoder.encode(chunk) : chunk))
}
const event = (data: string, more: Partial<ServerEvent> = {}): ServerEvent => ({
  type: 'message',
  data,
  id: undefined,
  ...more,
})

test.each<[string, string, ServerEvent[]]>([
  ['all that an event has', 'id: e.1\nevent: revocation\ndata: x\n\n', [event('x', { type: 'revocation', id: 'e.1' })]],
  ['several lines of data', 'data: a\ndata\ndata:  b\n\n', [event('a\n\n b')]],
  ['no space after the colon', 'data:a:b\n\n', [event('a:b')]],
  ['comments, unknown fields, and empty lines', ': hello\n\nretry: 1000\nfoo\n\n\n\ndata: a\n\n', [event('a')]],
  ['an event without data', 'event: reset\n\n', [event('', { type: 'reset' })]],
  [
    'nothing carried over',
    'id: e.1\nevent: a\ndata: 1\n\ndata: 2\n\n',
    [event('1', { type: 'a', id: 'e.1' }), event('2')],
  ],
  ['the last of two ids', 'id: e.1\nid: e.2\ndata: 1\n\n', [event('1', { id: 'e.2' })]],
  [
    'every kind of line end',
    'data: 1\r\n\r\ndata: 2\r\rdata: 3\n\ndata: 4\r\n\n',
    ['1', '2', '3', '4'].map((data) => event(data)),
  ],
  ['a byte order mark', '\ufeffdata: 1\n\n', [event('1')]],
  ['an event that is not complete', 'data: 1\n', []],
  ['no other white space as a line end', 'data: a\u2028b\u0085c\u000bd\n\n', [event('a\u2028b\u0085c\u000bd')]],
])('reads %s', (_what, text, events) => {
  expect(parse(text)).toEqual(events)
})

test('it does not matter where the bytes are cut', () => {
  const random = seeded(42)
  const pieces = [
    'data: ',
    'data:',
    'event: revocation',
    'id: e.12',
    ': x',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\r\r',
    'ö🛒',
    'a',
    ':',
    ' ',
  ]
  for (let round = 0; round < 2000; round++) {
    const text = Array.from({ length: 40 }, () => pieces[Math.floor(random() * pieces.length)]).join('')
    const bytes = encoder.encode(`${text}\n\n\n`)
    const chunks: Uint8Array[] = []
    for (let from = 0; from < bytes.length; ) {
      const to = from + Math.floor(random() * 6)
      chunks.push(bytes.subarray(from, to))
      from = to
    }
    expect(parse(...chunks), JSON.stringify(text)).toEqual(asTheStandardSays(`${text}\n\n\n`))
  }
})

/** Seeded, so that a failure can be seen again. */
function seeded(state: number): () => number {
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

/** The same in the plainest way, for a text that is there as a whole. */
function asTheStandardSays(text: string): ServerEvent[] {
  const events: ServerEvent[] = []
  let now: { type?: string; id?: string; data: string[] } = { data: [] }
  for (const line of text.split(/\r\n|\r|\n/).slice(0, -1)) {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? []
    if (name === 'event') now.type = value
    if (name === 'id') now.id = value
    if (name === 'data') now.data.push(value)
    if (line !== '') continue
    if (now.type || now.data.length > 0)
      events.push({ type: now.type || 'message', data: now.data.join('\n'), id: now.id })
    now = { data: [] }
  }
  return events
}

test.each<[string, (take: (text: string) => unknown) => void]>([
  ['a line', (take) => take(`data: ${'a'.repeat(65)}`)],
  ['a line that is complete', (take) => take(`: ${'a'.repeat(65)}\n\n`)],
  ['a line in pieces', (take) => Array.from({ length: 65 }, () => take('a'))],
  ['an event of many lines', (take) => Array.from({ length: 20 }, () => take('data: 1234\n'))],
  ['an event of many empty lines', (take) => take('data\n'.repeat(65))],
])('%s without an end is refused, before it takes up memory', (_what, feed) => {
  const parser = createEventParser(64)
  expect(() => feed((text) => parser(encoder.encode(text)))).toThrow(/more than 64 characters/)
})

test('what is no UTF-8 is refused', () => {
  expect(() => parse(new Uint8Array([0x64, 0xff]))).toThrow(TypeError)
  expect(() => parse(new Uint8Array([0xc0, 0x8a]))).toThrow(TypeError)
})
