import { assert, dictionary, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseForm, parseParameters } from '../../../src/http/requests/form.ts'

const parse = (text: string) => parseForm(Buffer.from(text, 'latin1'))

test('reads every form as it was filled in', () => {
  const text = string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
  assert(
    property(dictionary(text, text, { minKeys: 1, noNullPrototype: true }), (fields) => {
      const form = new URLSearchParams(Object.entries(fields)).toString()
      expect(Object.entries(parse(form))).toEqual(Object.entries(fields))
    }),
    { numRuns: 200 },
  )
})

describe('the parameters of an OAuth request', () => {
  test('are what was sent, whatever is escaped, without those that are empty', () => {
    const text = string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
    // As `curl -d` sends them: nothing is escaped but what would end the parameter, or be taken for an escape.
    const barely = (value: string) => value.replace(/[%&+=]/g, encodeURIComponent).replaceAll(' ', '+')
    const spellings = [encodeURIComponent, barely]
    assert(
      property(dictionary(text, text, { minKeys: 1, noNullPrototype: true }), (fields) => {
        const expected = Object.entries(fields).filter(([, value]) => value !== '')
        for (const spell of spellings) {
          const sent = Object.entries(fields).map((pair) => pair.map(spell).join('='))
          expect(Object.entries(parseParameters(Buffer.from(sent.join('&'))))).toEqual(expected)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('are never read in two ways: nobody can put together a form in which two names are the same', () => {
    for (const form of ['token=1&token=2', 'token=1&%74oken=2', 'token=&token=1', 'token&token=1', 'a=1&a=1&token=1'])
      expect(() => parseParameters(Buffer.from(form)), form).toThrow('invalid_request')
  })

  test('of names that mean something to objects are none of the object', () => {
    const fields = parseParameters(Buffer.from('__proto__=x&constructor=y'))
    expect(Object.keys(fields)).toEqual(['__proto__', 'constructor'])
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype)
  })
})

describe('refuses', () => {
  test.each([
    ['a field twice', 'a=1&a=2'],
    ['a field twice, spelt differently', 'a=1&%61=2'],
    ['no form at all', '{"a":1}'],
    ['a name alone', 'a'],
    ['an empty pair', 'a=1&'],
    ['half an escape', 'a=%4'],
    ['an escape that is none', 'a=%zz'],
    ['bytes that are no UTF-8', 'a=%ff'],
    ['an overlong encoding', 'a=%c0%af'],
    ['a lone surrogate', 'a=%ed%a0%80'],
    ['U+0000', 'a=x%00'],
    ['text that is not encoded', 'a=ü'],
    ['a separator of other parsers', 'a=1;b=2'],
  ])('%s', (_what, form) => {
    expect(() => parse(form)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})

test('a name that means something to objects is a field like any other', () => {
  const fields = parse('__proto__=x&constructor=y')
  expect(Object.keys(fields)).toEqual(['__proto__', 'constructor'])
  expect(Object.getPrototypeOf(fields)).toBe(Object.prototype)
  expect(({} as Record<string, unknown>).x).toBeUndefined()
})
