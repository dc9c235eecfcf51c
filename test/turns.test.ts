import { expect, test } from 'vitest'
import { createTurns } from '../src/turns.ts'

/** Work that lasts until it is told to end. */
function works(count: number) {
  const started: number[] = []
  const ends: (() => void)[] = []
  const work = (n: number) => () =>
    new Promise<number>((resolve) => {
      started.push(n)
      ends[n] = () => resolve(n)
    })
  return { started, end: (n: number) => ends[n]?.(), list: Array.from({ length: count }, (_, n) => work(n)) }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('eight at a time, in order', async () => {
  const inTurn = createTurns()
  const { started, end, list } = works(10)
  const results = list.map((work) => inTurn(work))
  await settled()
  expect(started).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  end(3)
  await settled()
  expect(started).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  for (let n = 0; n < 10; n++) {
    end(n)
    await settled()
  }
  expect(await Promise.all(results)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('a failure gives the place to the next one', async () => {
  const inTurn = createTurns()
  const failed = Array.from({ length: 20 }, () => inTurn(async () => Promise.reject(new Error('failed'))))
  expect((await Promise.allSettled(failed)).map(({ status }) => status)).toEqual(Array(20).fill('rejected'))
  expect(await inTurn(async () => 'done')).toBe('done')
})

test('whoever has waited for two seconds, or finds a thousand waiting, is told to come back', async () => {
  let now = 0
  const inTurn = createTurns(() => now)
  const { end, list } = works(8)
  const running = list.map((work) => inTurn(work))
  const behind = Array.from({ length: 1024 }, () => inTurn(async () => 'done'))
  await expect(inTurn(async () => 'done')).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 })
  now = 2001
  for (let n = 0; n < 8; n++) end(n)
  await Promise.all(running)
  const outcomes = await Promise.allSettled(behind)
  expect(outcomes.map(({ status }) => status)).toEqual(Array(1024).fill('rejected'))
  expect(await inTurn(async () => 'done')).toBe('done')
})
