import { expect, test } from 'vitest'
import { createPace } from '../../../src/http/limits/pacing.ts'

/** What so many refusals at the same moment have to wait, in the order of asking. */
function waits(count: number, keyOf: (n: number) => string): number[] {
  const pace = createPace(() => 1000)
  return Array.from({ length: count }, (_, n) => pace(keyOf(n)))
}

test('of one key fifty go out at once, the next ones wait ten milliseconds more each', () => {
  const waited = waits(350, () => 'a')
  expect(waited.slice(0, 50)).toEqual(Array(50).fill(0))
  expect(waited.slice(50)).toEqual(Array.from({ length: 300 }, (_, n) => (n + 1) * 10))
})

test('of all keys five hundred go out at once, the next ones wait a millisecond more each', () => {
  const waited = waits(700, (n) => `key ${n}`)
  expect(waited.slice(0, 500)).toEqual(Array(500).fill(0))
  expect(waited.slice(500)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1))
})

test('nobody waits longer than five seconds, and a flood is forgotten soon after it', () => {
  let now = 0
  const pace = createPace(() => now)
  const waited = Array.from({ length: 20_000 }, () => pace('a'))
  expect(Math.max(...waited)).toBe(5000)
  now = 5500
  expect(pace('b')).toBe(0)
  expect(pace('a')).toBeLessThanOrEqual(10)
  now = 12_000
  expect(pace('a')).toBe(0)
})

test('whoever is refused now and then never waits', () => {
  let now = 0
  const pace = createPace(() => now)
  const waited = Array.from({ length: 500 }, () => {
    now += 10
    return pace('a')
  })
  expect(waited).toEqual(Array(500).fill(0))
})
