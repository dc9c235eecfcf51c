import { array, assert, constantFrom, oneof, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { html, trusted } from '../../src/pages/html.ts'

/** Any text, with more of what markup is made of than chance would bring. */
const hostile = () =>
  array(oneof(constantFrom(...`<>"'&=/;`), string({ unit: 'binary', maxLength: 3 }))).map((parts) => parts.join(''))

/** As a browser reads text and quoted attributes. */
const read = (markup: string) =>
  markup
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

test('a value is read back as it was, in text and in an attribute, and ends neither', () => {
  assert(
    property(hostile(), (value) => {
      const [, attribute = '', text = ''] = /^<b title="([^"<>]*)">([^<>]*)<\/b>$/s.exec(
        String(html`<b title="${value}">${value}</b>`),
      ) as RegExpExecArray
      expect([read(attribute), read(text)]).toEqual([value, value])
      expect(attribute + text).not.toMatch(/['"<>]|&(?!(?:lt|gt|quot|amp|#39);)/)
    }),
    { numRuns: 300 },
  )
})

test('markup is escaped once, however deep it is nested, and lists are joined', () => {
  assert(
    property(array(hostile()), (values) => {
      const items = values.map((value) => html`<li>${value}</li>`)
      const inner = values.map((value) => String(html`<li>${value}</li>`)).join('')
      expect(String(html`<ul>${html`${items}`}</ul>`)).toBe(`<ul>${inner}</ul>`)
    }),
  )
})

test('nothing is shown for what is not there, and only `trusted` passes a text as it is', () => {
  expect(String(html`${undefined}|${0}|${trusted('<hr>')}|${'<hr>'}`)).toBe('|0|<hr>|&lt;hr&gt;')
  // Something that only looks like markup, such as parsed JSON, is text.
  const forged = { toString: () => '<script>' } as unknown as string
  expect(String(html`${forged}`)).toBe('&lt;script&gt;')
})

test('an attribute without quotation marks does not get as far as a page', () => {
  expect(() => html`<a href=${'x onclick=alert(1)'}>`).toThrow('not quoted')
  expect(() => html`<a href= ${'x'}>`).toThrow('not quoted')
  expect(() => html` href=${'x'}`).toThrow('not quoted')
  expect(() => html`<a ${'onclick=alert(1)'}>`).toThrow('not quoted')
  expect(String(html`<a title="a=${'1'}" ${html`href="${'/'}"`}>a = ${'b'}</a>`)).toBe(
    '<a title="a=1" href="/">a = b</a>',
  )
})

test('a long value is looked through once for each value behind it, however long it is', () => {
  // Looked through anew from each of its characters, it would take longer than any test may.
  const long = '&'.repeat(80_000)
  expect(String(html`<b title="${long}">${'x'}</b>`)).toHaveLength(400_000 + '<b title="">x</b>'.length)
})
