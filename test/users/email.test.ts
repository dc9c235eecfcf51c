import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { normaliseEmail } from '../../src/users/email.ts'

const long = (n: number) => 'a'.repeat(n)
const domainOf = (length: number) => `${`${long(60)}.`.repeat(5).slice(0, length - 4)}.org`

describe('accepted, in one form', () => {
  test.each([
    ['ada@example.org', 'ada@example.org'],
    ['Ada.Lovelace@Example.ORG', 'ada.lovelace@example.org'],
    ["o'brien+news=1@example.org", "o'brien+news=1@example.org"],
    ['{a}|b~c!#$%&*/?^_`@example.org', '{a}|b~c!#$%&*/?^_`@example.org'],
    ['ada@BÜCHER.example', 'ada@xn--bcher-kva.example'],
    ['ada@bu\u0308cher.example', 'ada@xn--bcher-kva.example'],
    ['ada@XN--BCHER-KVA.example', 'ada@xn--bcher-kva.example'],
    ['ada@straße.example', 'ada@xn--strae-oqa.example'],
    ['ada@例え.テスト', 'ada@xn--r8jz45g.xn--zckzah'],
    [`${long(64)}@example.org`, `${long(64)}@example.org`],
    ['1@2.example', '1@2.example'],
  ])('%s', (input, normal) => {
    expect(normaliseEmail(input)).toBe(normal)
    expect(normaliseEmail(normal)).toBe(normal)
  })
})

describe('refused', () => {
  test.each([
    ['empty', ''],
    ['no @', 'ada.example.org'],
    ['two @', 'ada@home@example.org'],
    ['no local part', '@example.org'],
    ['no domain', 'ada@'],
    ['one label', 'ada@localhost'],
    ['leading space', ' ada@example.org'],
    ['trailing space', 'ada@example.org '],
    ['trailing newline', 'ada@example.org\n'],
    ['header injection', 'ada@example.org\r\nBcc: eve@example.org'],
    ['NUL', 'ada\0@example.org'],
    ['no-break space', 'ada\u00a0@example.org'],
    ['zero-width space', 'ada@exam\u200bple.org'],
    ['right-to-left override', 'ada@exam\u202eple.org'],
    ['list of addresses', 'ada@example.org,eve@example.org'],
    ['semicolon', 'ada;eve@example.org'],
    ['angle brackets', '<ada@example.org>'],
    ['display name', 'Ada <ada@example.org>'],
    ['quoted local part', '"ada"@example.org'],
    ['backslash', 'a\\da@example.org'],
    ['comment', 'ada(home)@example.org'],
    ['local part begins with a dot', '.ada@example.org'],
    ['local part ends with a dot', 'ada.@example.org'],
    ['two dots', 'ada..l@example.org'],
    ['local part not ASCII', 'adä@example.org'],
    ['Cyrillic a', '\u0430da@example.org'],
    ['local part of 65', `${long(65)}@example.org`],
    ['more than 254 in all', `${long(64)}@${domainOf(190)}`],
    ['label of 64', `ada@${long(64)}.org`],
    ['domain begins with a dot', 'ada@.example.org'],
    ['domain ends with a dot', 'ada@example.org.'],
    ['label begins with a hyphen', 'ada@-example.org'],
    ['label ends with a hyphen', 'ada@example-.org'],
    ['underscore in the domain', 'ada@exam_ple.org'],
    ['address literal', 'ada@[127.0.0.1]'],
    ['IPv4 address', 'ada@127.0.0.1'],
    ['IPv4 address in hexadecimal', 'ada@0x7f.1'],
    ['port', 'ada@example.org:25'],
    ['path', 'ada@example.org/x'],
    ['percent encoding', 'ada@example%2eorg'],
    ['full-width letters', 'ada@ｅxample.org'],
    ['ideographic full stop', 'ada@example。org'],
    ['lone surrogate', 'ada@exa\ud800mple.org'],
    // Each of these was somebody else's account once.
    ['dotless i in the local part', 'mıke@example.org'],
    ['dotted capital I in the local part', 'MİKE@example.org'],
    ['long s in the local part', 'ſam@example.org'],
    ['Kelvin sign in the local part', 'mi\u212ae@example.org'],
    ['dotless i in the domain', 'mike@gıthub.example'],
    ['dotted capital I in the domain', 'mike@GİTHUB.example'],
    ['long s in the domain', 'mike@ſample.example'],
    ['Kelvin sign in the domain', 'mike@\u212aelvin.example'],
  ])('%s', (_why, input) => {
    expect(() => normaliseEmail(input)).toThrow(expect.objectContaining({ code: 'invalid_email' }))
  })

  test('254 octets are the most, counted in the normal form', () => {
    const at = (length: number) => `${long(64)}@${domainOf(length - 65)}`
    expect(normaliseEmail(at(254))).toHaveLength(254)
    expect(() => normaliseEmail(at(255))).toThrow(Problem)
  })

  test('the reason never repeats what was typed', () => {
    try {
      normaliseEmail('hunter2 is my password')
      expect.unreachable()
    } catch (error) {
      expect(JSON.stringify(error) + (error as Problem).detail).not.toContain('hunter2')
    }
  })
})

test('whatever is accepted is its own normal form, lower-case ASCII, and short enough', () => {
  const text = fc.oneof(
    fc.emailAddress(),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }).map((s) => `a@${s}.org`),
  )
  fc.assert(
    fc.property(text, (input) => {
      let normal: string
      try {
        normal = normaliseEmail(input)
      } catch (error) {
        expect(error).toBeInstanceOf(Problem)
        return
      }
      expect(normal).toMatch(/^[\x21-\x7e]{3,254}$/)
      expect(normal).toBe(normal.toLowerCase())
      expect(normaliseEmail(normal)).toBe(normal)
    }),
    { numRuns: 500 },
  )
})
