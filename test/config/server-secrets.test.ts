import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { serverSecrets } from '../../src/config/server-secrets.ts'

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64')
const hex = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('hex')
const bytes = (length: number, at: (index: number) => number) =>
  Uint8Array.from({ length }, (_, index) => at(index) & 255)
const numbers = (width: number, count: number, at: (index: number) => number) => {
  const all = Buffer.alloc(width * count)
  for (let index = 0; index < count; index++) all.writeUIntBE(at(index), index * width, width)
  return all
}
const twice = (block: Buffer) => Buffer.concat([block, block])

describe('made up', () => {
  test.each<[string, string]>([
    ['bytes counted up', base64(bytes(32, (i) => i))],
    ['bytes counted up, in hexadecimal', hex(bytes(32, (i) => i))],
    ['bytes counted up from somewhere', base64(bytes(32, (i) => i + 200))],
    ['bytes counted down', base64(bytes(32, (i) => 255 - i))],
    ...[2, 3, 7, 17, 37, 41, 101, 128, 129, 253].map((step): [string, string] => [
      `bytes counted in steps of ${step}`,
      base64(bytes(48, (i) => i * step + 11)),
    ]),
    ['steps modulo another number', base64(bytes(32, (i) => (i * 73 + 11) % 251))],
    ['squares', base64(bytes(32, (i) => i * i))],
    ['triangular numbers', hex(bytes(64, (i) => (i * (i + 1)) / 2))],
    ['digits of two, counted', hex(bytes(32, (i) => Number(`0x${String(i + 10)}`)))],
    ['a counter of 16 bits', hex(numbers(2, 16, (i) => 0x1080 + i * 0x103))],
    ['two counters in turn', base64(bytes(32, (i) => (i % 2 === 0 ? i : 255 - i)))],
    ['a counter of 32 bits', base64(numbers(4, 8, (i) => 0x12345678 + i * 0x01030507))],
    ['a block twice', base64(twice(randomBytes(16)))],
    [
      'a block of 12 again and again',
      base64(
        Buffer.concat([
          twice(Buffer.from('6f1f0a8bd2c94e7735aa10c4', 'hex')),
          Buffer.from('6f1f0a8bd2c94e7735aa10c4', 'hex'),
        ]),
      ),
    ],
    ['a block of 20, the beginning twice', hex(Buffer.concat([twice(randomBytes(20)), randomBytes(2)]))],
    ['the alphabet', 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz'],
    ['the alphabet of base64', 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'],
    ['letters and digits', 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'],
    ['hexadecimal digits counted', '0123456789abcdef'.repeat(4)],
    ['hexadecimal digits counted down', 'fedcba9876543210'.repeat(4)],
    ['decimal digits', '3141592653589793238462643383279502884197169399375105820974944592'],
    ['a sentence', base64('this is my very own secret for the server')],
    ['a sentence with capitals and digits', base64('My 1st server secret: do NOT tell it to anybody!')],
    ['a sentence, URL-safe', Buffer.from('the quick brown fox jumps over the lazy dog').toString('base64url')],
    ['a sentence in hexadecimal', hex('the quick brown fox jumps over the lazy dog')],
    ['a sentence with a line break', base64('the quick brown fox jumps\nover the lazy dog\n')],
    ['a German sentence', base64('zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich')],
    ['a Russian sentence', base64('съешь же ещё этих мягких французских булок')],
    ['a Chinese sentence', base64('天地玄黄宇宙洪荒日月盈昃辰宿列张')],
    ['a text in UTF-16', base64(Buffer.from('the quick brown fox jumps over', 'utf16le'))],
    ['a walk over the keyboard, encoded', base64('1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,')],
    ['a walk over the keyboard', 'qwertyuiopasdfghjklzxcvbnmqwertyuiopasdfghjklzxcvbnm'],
    ['words with hyphens', 'correct-horse-battery-staple-correct-horse-battery-staple'],
    ['words in capitals', 'CORRECT_HORSE_BATTERY_STAPLE_CORRECT_HORSE_BATTERY_STAPLE'],
    ['a password of letters and digits, encoded', base64('Tr0ub4dor3-Tr0ub4dor7-Xy9-Quux42-Zebra')],
    ['a UUID, encoded', base64('6a1f0a8b-d2c9-4e77-85aa-10c4f6b7d3e1')],
    ['a word in something else', `${randomBytes(30).toString('base64').replace(/[+/=]/g, 'a')}changeme`],
  ])('%s', (_name, text) => {
    expect(() => serverSecrets(text)).toThrow(/^entry 1 is not random: /)
    expect(() => serverSecrets(`${base64(randomBytes(32))},${text}`)).toThrow(/^entry 2 is not random: /)
  })
})

describe('random', () => {
  test('is never refused, in whatever form', () => {
    // From a seed: the same values each time, so that a failure stays one.
    const lengths = [32, 32, 32, 33, 40, 48, 64, 96]
    for (let index = 0; index < 20_000; index++) {
      const blocks = [0, 1].map((half) => createHash('sha512').update(`${index} ${half}`).digest())
      const secret = Buffer.concat(blocks).subarray(0, lengths[index % lengths.length])
      const forms = [secret.toString('base64'), secret.toString('base64url'), hex(secret)]
      const form = forms[Math.floor(index / lengths.length) % forms.length] ?? ''
      expect(serverSecrets(form)).toEqual([secret])
    }
  })

  test.each<[string, (secret: Buffer) => string]>([
    ['standard', (secret) => secret.toString('base64')],
    ['without padding', (secret) => secret.toString('base64').replaceAll('=', '')],
    ['in capitals', (secret) => hex(secret).toUpperCase()],
    ['wrapped at 20', (secret) => secret.toString('base64').replace(/.{20}/g, '$&\n')],
    [
      'wrapped with carriage returns and an indent',
      (secret) => `\n  ${secret.toString('base64').replace(/.{16}/g, '$&\r\n  ')}\r\n`,
    ],
    ['hexadecimal in groups', (secret) => hex(secret).replace(/.{4}/g, '$& ')],
  ])('%s', (_name, write) => {
    const secret = randomBytes(32)
    expect(serverSecrets(write(secret))).toEqual([secret])
    const longer = randomBytes(64)
    expect(serverSecrets(`${write(longer)}, ${write(secret)}`)).toEqual([longer, secret])
  })

  test('64 bytes as openssl wraps them', () => {
    const secret = randomBytes(64)
    expect(serverSecrets(secret.toString('base64').replace(/.{64}/g, '$&\n'))).toEqual([secret])
  })

  test.each([
    ['hexadecimal', hex],
    ['base64', base64],
  ])('%s that was encoded once more', (_name, encode) => {
    const text = `${encode(randomBytes(32))}\n`
    expect(serverSecrets(base64(text))).toEqual([Buffer.from(text)])
    expect(() => serverSecrets(base64(`${encode(bytes(32, (i) => i))}\n`))).toThrow('is not random')
  })
})

test('two secrets without a comma are not one', () => {
  const [first, second] = [randomBytes(32), randomBytes(32)]
  for (const encode of [hex, base64, (secret: Buffer) => secret.toString('base64url')]) {
    expect(() => serverSecrets(`${encode(first)}\n${encode(second)}`)).toThrow('a comma between them')
  }
})
