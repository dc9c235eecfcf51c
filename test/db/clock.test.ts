import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createDatabaseClock, type Estimate, estimate, saysMore } from '../../src/clock.ts'
import { databaseTime } from '../../src/db/time.ts'
import { createLog } from '../../src/log.ts'
import { keepClock } from '../../src/schedule.ts'
import { startForwarder } from '../support/forwarder.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { openPool, type Pool } from './pool.ts'

let database: TestDatabase
let direct: Pool
beforeAll(async () => {
  database = await cloneDatabase()
  direct = openPool(database.url)
})
afterAll(async () => {
  await direct[Symbol.asyncDispose]()
  await database.drop()
})

describe('which of two estimates of the database’s clock says more', () => {
  const held: Estimate = { ahead: 1_000_000, error: 2, at: 0 }
  test.each<[string, boolean, Partial<Estimate>]>([
    ['the same again', true, {}],
    ['a better one', true, { error: 1 }],
    ['a slow one that agrees', false, { error: 500 }],
    ['one that was 3.5 s on its way in one direction', false, { ahead: 1_000_000 - 1750, error: 1751 }],
    ['and in the other', false, { ahead: 1_000_000 + 1750, error: 1751 }],
    ['a little worse, at once', false, { error: 5 }],
    ['a little worse, after a minute of drift', true, { error: 5, at: 60_000 }],
    ['a slow one, after a minute', false, { error: 500, at: 60_000 }],
    ['a slow one, after a day without any', true, { error: 500, at: 86_400_000 }],
    ['a clock that was set', true, { ahead: 1_010_000, error: 2 }],
    ['a clock that was set back by more than its slow answer could be wrong', true, { ahead: 997_000, error: 1751 }],
  ])('%s: %s', (_name, expected, found) => {
    expect(saysMore({ ...held, ...found }, held)).toBe(expected)
  })

  test('any says more than none', () => {
    expect(saysMore({ ahead: 0, error: 5000, at: 0 }, undefined)).toBe(true)
  })

  test.each([
    ['all of it on the way there', 3501],
    ['all of it on the way back', 1],
    ['half and half', 1751],
  ])('an estimate holds the truth, wherever the time was lost: %s', (_name, answeredAt) => {
    const truth = 1_800_000_000_000
    const { ahead, error } = estimate({ asked: 0, heard: 3502, database: truth + answeredAt })
    expect(Math.abs(ahead - truth)).toBeLessThanOrEqual(error)
  })
})

/** How far a clock is from the database's own, in milliseconds. */
async function distance(now: () => Date): Promise<number> {
  const asked = performance.now()
  const truth = (await databaseTime(direct.db)).getTime()
  return Math.abs(now().getTime() - truth) - (performance.now() - asked)
}

test.each(['toServer', 'toClient'] as const)(
  '3.5 s on the way (%s) leave the clock as it was; the next good answer counts',
  async (direction) => {
    await using line = await startForwarder(Number(new URL(database.url).port))
    await using pool = openPool(line.through(database.url))
    await databaseTime(pool.db)
    const clock = createDatabaseClock(() => databaseTime(pool.db))
    expect(await clock.synchronise()).toBe(true)
    line.delay({ [direction]: 3500 })
    expect(await clock.synchronise(), 'such an answer is not good').toBe(false)
    expect(await distance(clock.now)).toBeLessThan(50)
    line.delay({})
    expect(await clock.synchronise()).toBe(true)
    expect(await distance(clock.now)).toBeLessThan(50)
  },
)

test('of answers of different speed the best counts, from the first moment on', async () => {
  await using line = await startForwarder(Number(new URL(database.url).port))
  await using pool = openPool(line.through(database.url))
  await databaseTime(pool.db)
  let asked = 0
  const clock = createDatabaseClock(() => {
    line.delay({ toClient: asked++ === 0 ? 800 : 0 })
    return databaseTime(pool.db)
  })
  expect(await clock.synchronise()).toBe(true)
  expect(asked).toBe(2)
  expect(await distance(clock.now)).toBeLessThan(50)
})

test('the keeper asks again soon after an answer that was not good, and after a minute else', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
  try {
    const answers = [true, false, false, true, true]
    const asked: number[] = []
    const keeper = keepClock(createLog({ LOG_LEVEL: 'fatal' }), {
      synchronise: async () => {
        asked.push(Math.round(performance.now() / 1000))
        return answers.shift() ?? true
      },
    })
    const begun = Math.round(performance.now() / 1000)
    await vi.advanceTimersByTimeAsync(210_000)
    await keeper.stop()
    const gaps = asked.map((moment, index) => moment - (asked[index - 1] ?? begun))
    expect(gaps.map((gap) => (gap < 10 ? 'soon' : 'a minute'))).toEqual([
      'a minute',
      'a minute',
      'soon',
      'soon',
      'a minute',
    ])
  } finally {
    vi.useRealTimers()
  }
})

test('after a jump of the host’s clock whatever the database says is adopted, also if it did not answer at first', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
  try {
    const asked: unknown[] = []
    const keeper = keepClock(createLog({ LOG_LEVEL: 'silent' }), {
      synchronise: async (options) => {
        asked.push(options)
        if (asked.length === 1) throw new Error('away')
        return true
      },
    })
    await vi.advanceTimersByTimeAsync(3000)
    expect(asked).toEqual([])
    vi.setSystemTime(Date.now() + 3_600_000)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked).toEqual([{ afresh: true }, { afresh: true }])
    await vi.advanceTimersByTimeAsync(70_000)
    expect(asked).toEqual([{ afresh: true }, { afresh: true }, { afresh: false }])
    await keeper.stop()
  } finally {
    vi.useRealTimers()
  }
})
