import { expect, test } from 'vitest'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/durations.ts'
import { decide } from '../../src/outbox/decide.ts'

test.each([
  { ending: 'delivered', attempts: 1, ageMs: 0, next: { next: 'delete' } },
  { ending: 'delivered', attempts: 25, ageMs: DAY, next: { next: 'delete' } },
  { ending: 'failed', attempts: 1, ageMs: 0, next: { next: 'retry', inMs: 10 * SECOND } },
  { ending: 'failed', attempts: 2, ageMs: 0, next: { next: 'retry', inMs: 20 * SECOND } },
  { ending: 'failed', attempts: 7, ageMs: HOUR, next: { next: 'retry', inMs: 640 * SECOND } },
  { ending: 'failed', attempts: 13, ageMs: HOUR, next: { next: 'retry', inMs: 6 * HOUR } },
  { ending: 'failed', attempts: 24, ageMs: HOUR, next: { next: 'retry', inMs: 6 * HOUR } },
  { ending: 'failed', attempts: 25, ageMs: HOUR, next: { next: 'bury', reason: 'attempts_used_up' } },
  { ending: 'refused', attempts: 1, ageMs: 0, next: { next: 'bury', reason: 'undeliverable' } },
  { ending: 'unreadable', attempts: 1, ageMs: 0, next: { next: 'retry', inMs: 10 * SECOND } },
  { ending: 'unreadable', attempts: 9, ageMs: HOUR, next: { next: 'retry', inMs: 2560 * SECOND } },
  { ending: 'unreadable', attempts: 9, ageMs: HOUR + 1, next: { next: 'bury', reason: 'unreadable' } },
  { ending: 'interrupted', attempts: 25, ageMs: DAY, next: { next: 'retry', inMs: 0 } },
] as const)('$ending at attempt $attempts', ({ next, ...attempt }) => {
  expect(decide(attempt, 0.5)).toEqual(next)
})

test('what failed together comes back spread', () => {
  const failed = { ending: 'failed', attempts: 1, ageMs: 0 } as const
  expect(decide(failed, 0)).toEqual({ next: 'retry', inMs: 8 * SECOND })
  expect(decide(failed, 1)).toEqual({ next: 'retry', inMs: 12 * SECOND })
})

test('a receiver that is away for three days has it afterwards, and one that puts strangers off for an hour within two', () => {
  let [elapsed, attempts] = [0, 0]
  const times: number[] = []
  for (;;) {
    const verdict = decide({ ending: 'failed', attempts: ++attempts, ageMs: elapsed }, 0.5)
    if (verdict.next !== 'retry') break
    times.push((elapsed += verdict.inMs))
  }
  expect(times.find((time) => time > HOUR)).toBeLessThan(2 * HOUR)
  expect(times.filter((time) => time < 5 * MINUTE).length).toBeGreaterThan(3)
  expect(elapsed).toBeGreaterThan(3 * DAY)
  expect(elapsed).toBeLessThan(5 * DAY)
})
