import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../src/log.ts'
import { repeat, type Task } from '../src/schedule.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function start(task: Pick<Task, 'work' | 'outage'>) {
  const lines: { level: string; msg: string; task?: string }[] = []
  const log = createLog({ LOG_LEVEL: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  return { lines, schedule: repeat(log, { name: 'tested', everyMs: 1000, ...task }) }
}
const failed = async () => Promise.reject(new Error('no'))

test('waits for what is due, or up to a tenth less, after the last run has ended', async () => {
  const begun: number[] = []
  const { schedule } = start({
    work: async () => {
      begun.push(performance.now())
      await new Promise((resolve) => setTimeout(resolve, 500))
    },
  })
  const from = performance.now()
  await vi.advanceTimersByTimeAsync(60_000)
  // A run may be under way, which stop() waits for.
  const stopped = schedule.stop()
  await vi.advanceTimersByTimeAsync(500)
  await stopped
  const waits = begun.map((at, n) => at - (n === 0 ? from : (begun[n - 1] ?? 0) + 500))
  expect(waits.length).toBeGreaterThan(38)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(900)
  expect(Math.max(...waits)).toBeLessThanOrEqual(1001)
  expect(new Set(waits.map(Math.round)).size).toBeGreaterThan(5)
})

test('logs each failure, and goes on', async () => {
  const { lines, schedule } = start({ work: failed })
  await vi.advanceTimersByTimeAsync(3500)
  await schedule.stop()
  expect(lines.map(({ level, task }) => `${level} ${task}`)).toEqual(Array(3).fill('warn tested'))
})

test('logs an outage when it begins and when it ends, each time', async () => {
  const outcomes = [failed, failed, async () => {}, async () => {}, failed, async () => {}]
  const { lines, schedule } = start({
    work: () => (outcomes.shift() ?? (async () => {}))(),
    outage: { begins: 'gone', ends: 'back' },
  })
  await vi.advanceTimersByTimeAsync(10_000)
  await schedule.stop()
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    ['error', 'gone'],
    ['info', 'back'],
    ['error', 'gone'],
    ['info', 'back'],
  ])
})

test('stopped, it waits for what runs and starts nothing more', async () => {
  let [begun, ended] = [0, 0]
  const { schedule } = start({
    work: async () => {
      begun++
      await new Promise((resolve) => setTimeout(resolve, 500))
      ended++
    },
  })
  await vi.advanceTimersByTimeAsync(1100)
  expect([begun, ended]).toEqual([1, 0])
  const stopped = schedule.stop()
  await vi.advanceTimersByTimeAsync(10_000)
  await stopped
  expect([begun, ended]).toEqual([1, 1])
})
