import { expect, test } from 'vitest'
import { createAge, type Moment } from '../../sdk/verifier/src/revocations/age.ts'
import { createView } from '../../sdk/verifier/src/revocations/view.ts'

const at = (monotonic: number, wall = monotonic): Moment => ({ monotonic: monotonic * 1000, wall: wall * 1000 })

interface Case {
  what: string
  /** `iat`, and when it came. */
  heard: [iat: number, at: Moment][]
  now: Moment
  age: number
}

const cases: Case[] = [
  { what: 'nothing was heard', heard: [], now: at(0), age: Number.POSITIVE_INFINITY },
  { what: 'time has passed since', heard: [[0, at(0)]], now: at(7), age: 7 },
  { what: 'clocks differ within the tolerance', heard: [[0, at(1000, 25)]], now: at(1000, 25), age: 0 },
  { what: 'clocks differ by more than that', heard: [[0, at(1000, 45)]], now: at(1000, 45), age: 15 },
  { what: 'it is of the future', heard: [[31, at(0)]], now: at(0), age: Number.POSITIVE_INFINITY },
  { what: 'the wall clock was set back', heard: [[100, at(100)]], now: at(107, 80), age: 7 },
  { what: 'the machine slept', heard: [[100, at(100)]], now: at(100, 120), age: 20 },
  {
    what: 'a replay came while it slept',
    heard: [
      [100, at(100)],
      [100, at(100, 120)],
    ],
    now: at(100, 120),
    age: 20,
  },
  {
    what: 'the newest took three seconds longer than the second quickest',
    heard: [
      [0, at(2)],
      [2, at(3)],
      [4, at(9)],
    ],
    now: at(10),
    age: 4,
  },
  {
    what: 'the quickest were nearly two minutes ago',
    heard: [
      [0, at(0)],
      [1, at(1)],
      [60, at(63)],
      [113, at(119)],
    ],
    now: at(119),
    age: 6,
  },
  {
    what: 'they were longer ago than that',
    heard: [
      [0, at(0)],
      [1, at(1)],
      [118, at(122)],
      [124, at(128)],
    ],
    now: at(128),
    age: 0,
  },
  {
    what: 'all are held back for twenty seconds',
    heard: [
      [98, at(98)],
      [100, at(100)],
      [102, at(122)],
    ],
    now: at(122),
    age: 20,
  },
  {
    what: 'the same, and our clock is 25 behind',
    heard: [
      [98, at(98, 73)],
      [100, at(100, 75)],
      [102, at(122, 97)],
    ],
    now: at(122, 97),
    age: 20,
  },
  {
    what: 'they are held back from the second on, which only clocks can tell',
    heard: [
      [100, at(100)],
      [102, at(122)],
      [104, at(124)],
    ],
    now: at(124),
    age: 0,
  },
  {
    what: 'one was signed by a clock that was ahead, and nothing is late for that',
    heard: [
      [98, at(98)],
      [100, at(100)],
      [127, at(102)],
      [130, at(131)],
    ],
    now: at(131),
    age: 1,
  },
  {
    what: 'it was the first, and our clock is ten ahead',
    heard: [
      [125, at(100, 110)],
      [127, at(127, 137)],
      [129, at(129, 139)],
    ],
    now: at(129, 139),
    age: 0,
  },
  {
    what: 'two were, as if all were held back now',
    heard: [
      [100, at(100)],
      [127, at(102)],
      [129, at(104)],
      [130, at(130)],
    ],
    now: at(130),
    age: 25,
  },
  {
    what: 'two were, more than two minutes ago',
    heard: [
      [127, at(102)],
      [129, at(104)],
      [230, at(230)],
    ],
    now: at(230),
    age: 0,
  },
  {
    what: 'every message is later than the one before, by little',
    heard: Array.from({ length: 60 }, (_, i): [number, Moment] => [i * 60, at(i * 61)]),
    now: at(59 * 61),
    age: 29,
  },
]

test.each(cases)('$what: $age s', ({ heard, now, age }) => {
  const view = createAge(30)
  for (const [iat, moment] of heard) view.heard(iat, moment)
  expect(view.at(now) / 1000).toBe(age)
})

test('another epoch may have another clock, but not one beyond the tolerance', () => {
  const view = createView(30)
  const statement = (epoch: string, iat: number) => ({ epoch, after: 0, seq: 1, iat, ttl: 2, entries: [] })
  view.page(statement('a', 100), undefined, at(100))
  view.page(statement('b', 110), undefined, at(130))
  expect(view.age(at(130))).toBe(0)
  view.heartbeat(statement('b', 111), at(131))
  view.heartbeat(statement('b', 112), at(135))
  expect(view.age(at(135))).toBe(3000)
  view.page(statement('c', 120), undefined, at(155))
  expect(view.age(at(155))).toBe(5000)
})
