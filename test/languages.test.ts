import { expect, test } from 'vitest'
import { negotiate } from '../src/languages.ts'

test.each([
  [undefined, undefined, 'en'],
  ['', '', 'en'],
  [undefined, 'de', 'de'],
  [undefined, 'de-AT,de;q=0.9,en;q=0.8', 'de'],
  [undefined, 'fr-FR, fr;q=0.9, ru;q=0.5, de;q=0.4', 'ru'],
  [undefined, 'en;q=0.1, RU-Cyrl-RU ; q=0.2', 'ru'],
  [undefined, 'de;q=0, en;q=0.5', 'en'],
  [undefined, '*', 'en'],
  [undefined, 'deutsch, rus', 'en'],
  [undefined, 'de;q=2, ru;q=0.3', 'ru'],
  ['fr de', 'ru', 'de'],
  ['DE-at', undefined, 'de'],
  ['fr', 'ru', 'ru'],
  ['fr', undefined, 'en'],
  ['../../etc __proto__', 'constructor', 'en'],
  [`${'fr '.repeat(100_000)}de`, undefined, 'en'],
])('ui_locales %j and Accept-Language %j give %s', (uiLocales, acceptLanguage, locale) => {
  expect(negotiate(uiLocales, acceptLanguage)).toBe(locale)
})
