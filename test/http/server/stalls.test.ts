import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { watchStalls } from '../../../src/http/server/stalls.ts'

// The process's own timers, which a test can hold still.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

function start() {
  let now = 0
  const stalls = watchStalls(() => now)
  return {
    before: stalls.before,
    /** Time goes by and timers run in time. */
    run: (milliseconds: number) => {
      for (let passed = 0; passed < milliseconds; passed += 100) {
        now += 100
        vi.advanceTimersByTime(100)
      }
    },
    /** Time goes by and nothing runs. */
    stand: (milliseconds: number) => {
      now += milliseconds
    },
    tick: () => vi.advanceTimersByTime(100),
    stop: stalls.stop,
  }
}

test('a process that runs owes nobody anything', () => {
  const { before, run, stand } = start()
  run(1000)
  expect(before()).toBe(0)
  stand(300)
  expect(before()).toBe(0)
})

test('what is read first after a standstill has waited as long, whether or not a timer has run since', () => {
  const { before, run, stand, tick } = start()
  run(1000)
  stand(5000)
  expect(before()).toBe(4900)
  tick()
  expect(before()).toBe(4900)
  run(900)
  expect(before()).toBe(4900)
  run(200)
  expect(before()).toBe(0)
})

test('while the backlog of a standstill is read, what takes long adds to it', () => {
  const { before, run, stand, tick } = start()
  run(1000)
  stand(20_000)
  tick()
  stand(500)
  expect(before()).toBe(19_900 + 400)
  tick()
  expect(before()).toBe(19_900 + 400)
})

test('a short standstill counts for as long as it lasted', () => {
  const { before, run, stand, tick } = start()
  run(1000)
  stand(500)
  tick()
  run(300)
  expect(before()).toBe(400)
  run(200)
  expect(before()).toBe(0)
})
