import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { checkNewPassword } from '../../../src/credentials/passwords/policy.ts'
import type { Problem } from '../../../src/errors.ts'

const config = { PASSWORD_MIN_LENGTH: 8, ISSUER: 'https://auth.treehouse.example:8443' }
const email = 'grace.hopper@navy.example'

function verdict(password: string, settings = config): string {
  try {
    checkNewPassword(settings, email, password)
    return 'ok'
  } catch (error) {
    return (error as Problem).code
  }
}

/** Text of so many code points that repeats nothing. */
const text = (length: number, first = 0x4e00) =>
  String.fromCodePoint(...Array.from({ length }, (_, i) => first + ((i * 7919) % 9973)))

describe('length, in code points after NFC', () => {
  test.each([
    ['seven', text(7), 'password_too_short'],
    ['eight', text(8), 'ok'],
    ['64', text(64), 'ok'],
    ['128', text(128), 'ok'],
    ['256', text(256), 'ok'],
    ['257', text(257), 'password_too_long'],
    ['256 beyond the basic plane: 512 UTF-16 units, 1024 bytes', text(256, 0x20000), 'ok'],
    ['257 beyond the basic plane', text(257, 0x20000), 'password_too_long'],
    ['seven emoji are fourteen UTF-16 units', '😀🐙🎈🚀🌋🎻🧭', 'password_too_short'],
    ['eight emoji', '😀🐙🎈🚀🌋🎻🧭🪁', 'ok'],
    ['eight typed, seven composed', 'kafe\u0301 xyz'.slice(0, 8), 'password_too_short'],
  ])('%s', (_what, password, code) => expect(verdict(password)).toBe(code))

  test('the lower bound is a setting', () => {
    expect(verdict('plum vivid crag', { ...config, PASSWORD_MIN_LENGTH: 15 })).toBe('ok')
    expect(verdict('plum vivid cra', { ...config, PASSWORD_MIN_LENGTH: 15 })).toBe('password_too_short')
  })
})

test.each([
  '        z',
  'no digits at all',
  'ALLCAPSWORDS',
  '73901846',
  'päßwörter',
  'tab\there ok',
  ' leading and trailing ',
])('no rules of composition: %j', (password) => expect(verdict(password)).toBe('ok'))

describe('blocked', () => {
  test.each([
    ['common', 'password1'],
    ['common, in capitals', 'PassWord1'],
    ['common', 'iloveyou1'],
    ['the service', 'claviger'],
    ['the service, in capitals', 'CLAVIGER'],
    ['the service twice', 'clavigerClaviger'],
    ['the issuer', 'https://auth.treehouse.example:8443'],
    ['its host and port', 'auth.treehouse.example:8443'],
    ['its host', 'auth.treehouse.example'],
    ['its domain', 'Treehouse.Example'],
    ['a label of it', 'treehouse'],
    ['a short label, repeated', 'authauth'],
    ['the address', 'Grace.Hopper@navy.example'],
    ['its local part', 'grace.hopper'],
    ['its domain', 'navy.example'],
    ['one character', 'ßßßßßßßß'],
    ['two characters', 'xyxyxyxyxy'],
    ['four characters', 'r7!kr7!kr7!k'],
    ['a common password twice', 'sunshine1sunshine1'],
    ['a sequence twice', '12345678901234567890'],
    ['alphabet', 'ABCDEFGHIJ'],
    ['alphabet backwards', 'zyxwvutsr'],
    ['digits', '23456789'],
    ['digits backwards', '098765432'],
    ['keyboard row', 'qwertyuiop'],
    ['keyboard rows backwards', 'lkjhgfdsapo'],
    ['other alphabets', 'абвгдежз'],
    ['emoji in order', '😀😁😂😃😄😅😆😇'],
  ])('%s: %s', (_what, password) => {
    expect(verdict(password)).toBe('password_blocked')
    expect(() => checkNewPassword(config, email, password)).toThrow(
      expect.objectContaining({ detail: expect.stringMatching(/\.$/) }),
    )
  })

  test.each([
    'password1 is not my password',
    'claviger-of-the-tower',
    'my treehouse is green',
    'correct horse correct horse ',
    'grace.hopper was here',
  ])('the whole password is compared, so it may contain a blocked word: %s', (password) =>
    expect(verdict(password)).toBe('ok'),
  )
})

test.each(['lone \ud800 surrogate', 'with \0 in it'])('ill-formed text is refused: %j', (password) =>
  expect(verdict(password)).toBe('invalid_request'),
)

test('the list is in the form that data/README.md promises', () => {
  const file = readFileSync(new URL('../../../data/common-passwords.txt', import.meta.url), 'utf8')
  const lines = file.split('\n')
  expect(lines.pop()).toBe('')
  expect(lines.length).toBeGreaterThanOrEqual(10_000)
  expect(lines).toEqual([...new Set(lines)].toSorted())
  expect(
    lines.filter((line) => [...line].length < 8 || line !== line.toLowerCase() || line !== line.normalize('NFC')),
  ).toEqual([])
  const sample = lines.filter((_, i) => i % 500 === 0)
  for (const line of sample) expect(verdict(line.toUpperCase())).toBe('password_blocked')
  const counted = readFileSync(new URL('../../../data/README.md', import.meta.url), 'utf8').replaceAll(
    /[\s\u00a0\u202f]/g,
    '',
  )
  expect(counted).toContain(String(lines.length))
})
