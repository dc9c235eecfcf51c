import { describe, expect, test } from 'vitest'
import { Problem, type Reason } from '../src/errors.ts'
import { createKeyedMutex, createSemaphore } from '../src/semaphore.ts'

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
const fail = async () => Promise.reject(new Error('failed'))
const done = async () => 'done'
const throwing = (): Promise<never> => {
  throw new Error('failed')
}

describe('a semaphore', () => {
  test('runs as many as it has permits, in order', async () => {
    const semaphore = createSemaphore({ permits: 8, queue: 10 })
    const { started, end, list } = works(10)
    const results = list.map((work) => semaphore.run(work))
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

  test.each([
    ['rejects', fail],
    ['throws', throwing],
  ])('gives the permit of work that %s to the next one', async (_how, work) => {
    const semaphore = createSemaphore({ permits: 2, queue: 20 })
    const failed = Array.from({ length: 20 }, () => semaphore.run(work))
    expect((await Promise.allSettled(failed)).map(({ status }) => status)).toEqual(Array(20).fill('rejected'))
    expect(semaphore.pending()).toBe(0)
    expect(await semaphore.run(done)).toBe('done')
  })

  test('counts what runs and what waits, in the moment it is asked for', async () => {
    const semaphore = createSemaphore({ permits: 1, queue: 1 })
    const { end, list } = works(3)
    expect([semaphore.pending(), semaphore.isFull()]).toEqual([0, false])
    const [first, second] = list.slice(0, 2).map((work) => semaphore.run(work))
    expect([semaphore.pending(), semaphore.isFull()]).toEqual([2, true])
    await expect(semaphore.run(done)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 })
    end(0)
    await settled()
    end(0)
    await first
    expect([semaphore.pending(), semaphore.isFull()]).toEqual([1, false])
    end(1)
    await second
    expect(semaphore.pending()).toBe(0)
  })

  test('refuses as it is told to', async () => {
    const refusal = (reason: Reason) => new Problem('overloaded', { reason })
    const semaphore = createSemaphore({ permits: 1, queue: 0, refusal })
    const { end, list } = works(1)
    const running = list.map((work) => semaphore.run(work))
    await expect(semaphore.run(done)).rejects.toMatchObject({ code: 'overloaded', reason: 'too many wait' })
    await settled()
    end(0)
    await Promise.all(running)
  })

  test('has lines take turns, so that nobody waits for all that another one has sent', async () => {
    const semaphore = createSemaphore({ permits: 1, queue: 10 })
    const served: string[] = []
    const send = (name: string) => semaphore.run(async () => void served.push(name), name.slice(0, 1))
    await Promise.all(['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'].map(send))
    expect(served).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4'])
  })

  test('has the longest line give up its last place, where the queue is full', async () => {
    const semaphore = createSemaphore({ permits: 1, queue: 4 })
    const send = (who: string) => semaphore.run(done, who).catch(({ reason }: Problem) => reason)
    const outcomes = ['a', 'a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'c'].map(send)
    expect(['a', 'b', 'c', 'd'].map(semaphore.isFull)).toEqual([true, true, true, false])
    expect(semaphore.pending()).toBe(5)
    const full = 'too many wait'
    const ofA = ['done', 'done', full, full, full, full]
    expect(await Promise.all(outcomes)).toEqual([...ofA, 'done', 'done', full, 'done'])
  })

  test('refuses who has waited longer than its patience, and the queue moves on', async () => {
    let now = 0
    const semaphore = createSemaphore({ permits: 8, queue: 1024, patienceMs: 2000 }, () => now)
    const { end, list } = works(8)
    const running = list.map((work) => semaphore.run(work))
    const behind = Array.from({ length: 1024 }, () => semaphore.run(done))
    await expect(semaphore.run(done)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 })
    await settled()
    now = 2001
    for (let n = 0; n < 8; n++) end(n)
    await Promise.all(running)
    const outcomes = await Promise.allSettled(behind)
    expect(outcomes.map(({ status }) => status)).toEqual(Array(1024).fill('rejected'))
    expect(await semaphore.run(done)).toBe('done')
  })
})

describe('a keyed mutex', () => {
  test('runs the work of one key in order and one at a time, other keys beside it', async () => {
    const mutex = createKeyedMutex(10)
    const { started, end, list } = works(4)
    const results = list.map((work, n) => mutex(n === 2 ? 'b' : 'a', work))
    await settled()
    expect(started).toEqual([0, 2])
    for (const n of [0, 1, 2, 3]) {
      end(n)
      await settled()
    }
    expect(started).toEqual([0, 2, 1, 3])
    expect(await Promise.all(results)).toEqual([0, 1, 2, 3])
  })

  test('a failure does not stop those behind it', async () => {
    const mutex = createKeyedMutex(10)
    const outcomes = await Promise.allSettled([mutex('a', fail), mutex('a', done)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })

  test('refuses at once when too many wait, of all keys together', async () => {
    const mutex = createKeyedMutex(2)
    const { end, list } = works(2)
    const running = list.map((work, n) => mutex(`${n}`, work))
    await expect(mutex('another', done)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 })
    end(0)
    end(1)
    await Promise.all(running)
    expect(await mutex('another', done)).toBe('done')
  })
})
