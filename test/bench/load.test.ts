import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Answer, Connection } from '../../bench/connection.ts'
import { createTally, type Item, runLoad, sumFaults } from '../../bench/load.ts'

const ok: Answer = { status: 200, head: '', body: '' }
const plain: Item = { request: 'r', judge: (answer) => ({ fault: answer ? undefined : 'no answer' }) }

/** Connections that answer as they are told; notes how many requests were under way at once. */
function connections(answer: (request: string) => Promise<Answer>) {
  const seen = { opened: 0, closed: 0, sent: [] as string[], underWay: 0, most: 0 }
  const connect = (): Connection => {
    seen.opened++
    let busy = false
    return {
      send: async (request) => {
        if (busy) throw new Error('two requests at once on one connection')
        busy = true
        seen.sent.push(request)
        seen.most = Math.max(seen.most, ++seen.underWay)
        try {
          return await answer(request)
        } finally {
          busy = false
          seen.underWay--
        }
      },
      close: () => void seen.closed++,
    }
  }
  return { seen, connect }
}

test('percentiles: of a hundred latencies half lie below p50, and p99 and p99.9 are the last', () => {
  const tally = createTally()
  // Not in order, and as numbers: as text, 100 would come before 9.
  for (let n = 100; n > 0; n--) tally.add(n, undefined)
  expect(tally.outcome(2)).toEqual({ done: 100, faults: {}, seconds: 2, p50: 51, p95: 96, p99: 100, p999: 100 })
})

test('percentiles: one in a thousand is in p99.9 and not in p99', () => {
  const tally = createTally()
  for (let n = 0; n < 999; n++) tally.add(1, undefined)
  tally.add(5000, undefined)
  expect(tally.outcome(1)).toMatchObject({ p50: 1, p99: 1, p999: 5000 })
})

test('percentiles of nothing are not numbers, rather than a good figure', () => {
  const { done, p50, p95, p99, p999 } = createTally().outcome(1)
  expect([done, p50, p95, p99, p999]).toEqual([0, Number.NaN, Number.NaN, Number.NaN, Number.NaN])
})

test('an answer with a fault is counted by its fault, not as done, and its latency counts', () => {
  const tally = createTally()
  tally.add(1, undefined)
  tally.add(9, '503')
  tally.add(9, '503')
  tally.add(9, 'no answer')
  expect(tally.outcome(1)).toMatchObject({ done: 1, faults: { 503: 2, 'no answer': 1 }, p50: 9 })
})

test('faults of several measurements add up', () => {
  expect(sumFaults({ faults: { 503: 2 } }, { faults: {} }, { faults: { 503: 1, 401: 1 } })).toEqual({ 503: 3, 401: 1 })
})

test('closed loop: every connection has one request under way, and a broken one is a fault', async () => {
  let turn = 0
  const { seen, connect } = connections(async () => {
    await sleep(1)
    if (++turn === 3) throw new Error('reset')
    return ok
  })
  const outcome = await runLoad(() => plain, { port: 0, connections: 4, seconds: 0.05 }, connect)
  expect(seen).toMatchObject({ opened: 4, closed: 4, most: 4 })
  expect(outcome.faults).toEqual({ 'no answer': 1 })
  expect(outcome.done).toBe(seen.sent.length - 1)
})

test('closed loop: while every chain is under way the callers wait for one to come back', async () => {
  let free = ['a']
  const source = (): Item | undefined => {
    const request = free.pop()
    return request === undefined
      ? undefined
      : {
          request,
          judge: () => {
            free = [request]
            return {}
          },
        }
  }
  const { seen, connect } = connections(() => sleep(2, ok))
  const outcome = await runLoad(source, { port: 0, connections: 8, seconds: 0.05 }, connect)
  expect(seen.most).toBe(1)
  expect(outcome.done).toBeGreaterThan(0)
})

test('open loop: as many requests as fell due are sent and waited for, however slow the answers', async () => {
  const { seen, connect } = connections(() => sleep(60, ok))
  const outcome = await runLoad(() => plain, { port: 0, connections: 2, seconds: 0.05, rate: 200 }, connect)
  // Ten in 0.05 s, of which the last are sent long after that time.
  expect(outcome).toMatchObject({ done: 10, faults: {} })
  expect(seen).toMatchObject({ most: 2, closed: 2 })
})

test('open loop: what could not be sent in time is late by all that it had to wait', async () => {
  // The first answer takes 150 ms, the others none. A closed loop would have seen one slow answer in twenty; all
  // that fell due during it were late.
  let first = true
  const { connect } = connections(async () => {
    const wait = first ? 150 : 0
    first = false
    return sleep(wait, ok)
  })
  const outcome = await runLoad(() => plain, { port: 0, connections: 1, seconds: 0.1, rate: 200 }, connect)
  expect(outcome.done).toBe(20)
  // Those in the middle fell due 50 ms after the first, at the earliest, and were sent 100 ms later.
  expect(outcome.p50).toBeGreaterThan(90)
})

test('open loop: when every chain was refused, what is left counts as faults, and the load ends', async () => {
  const chains = [plain, plain]
  const { seen, connect } = connections(() => Promise.resolve(ok))
  const outcome = await runLoad(() => chains.pop(), { port: 0, connections: 4, seconds: 0.05, rate: 200 }, connect)
  expect(outcome).toMatchObject({ done: 2, faults: { 'no chain left': 8 }, p99: Number.POSITIVE_INFINITY })
  expect(seen.closed).toBe(4)
})

test('closed loop: callers that are told to come again after the end are not waited for', async () => {
  const { connect } = connections(() => Promise.resolve(ok))
  const refused: Item = { request: 'r', judge: () => ({ fault: '503', waitMs: 3_600_000 }) }
  const outcome = await runLoad(() => refused, { port: 0, connections: 2, seconds: 0.05 }, connect)
  expect(outcome.done).toBe(0)
  expect(outcome.seconds).toBeLessThan(3600)
})
