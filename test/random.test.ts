import { expect, test } from 'vitest'
import { randomBytes } from '../src/random.ts'

test('no bytes are given out twice, whatever lengths are asked for', () => {
  const given = Array.from({ length: 5000 }, (_, n) => randomBytes(16 + (n % 17)))
  expect(given.every((bytes, n) => bytes.length === 16 + (n % 17))).toBe(true)
  // Any eight of them are as good as unique.
  const seen = new Set(given.flatMap((bytes) => [bytes.toString('hex', 0, 8), bytes.toString('hex', 8, 16)]))
  expect(seen.size).toBe(10_000)
})

test('what was given out stays as it was', () => {
  const first = randomBytes(32)
  const copy = Buffer.from(first)
  for (let n = 0; n < 500; n++) randomBytes(32)
  expect(first.equals(copy)).toBe(true)
  expect(first.equals(Buffer.alloc(32))).toBe(false)
})

test('more than the pool holds is refused', () => {
  expect(() => randomBytes(4097)).toThrow(RangeError)
})
