import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/parse.ts'
import { shareOf } from '../../src/config/share.ts'
import { createMetrics, type Snapshot } from '../../src/metrics.ts'
import { type Consequence, consequenceOf } from '../../src/processes/restarts.ts'
import { createTotals } from '../../src/processes/totals.ts'
import { testEnvironment } from '../support/app.ts'

const at = (inMs: number): Consequence => ({ kind: 'replace', inMs })
const giveUp = (code: number): Consequence => ({ kind: 'give up', code })

test.each([
  ['the first does not start', { code: 1, settled: false }, { ready: false, serving: 0, early: 1 }, giveUp(1)],
  ['the first finds a wrong setting', { code: 78, settled: false }, { ready: false, serving: 0, early: 1 }, giveUp(78)],
  ['the first is killed', { code: null, settled: false }, { ready: false, serving: 0, early: 1 }, giveUp(1)],
  ['the first ends with 0', { code: 0, settled: false }, { ready: false, serving: 0, early: 1 }, giveUp(1)],
  ['one that had settled is killed', { code: null, settled: true }, { ready: true, serving: 1, early: 0 }, at(0)],
  ['the last that had settled is killed', { code: null, settled: true }, { ready: true, serving: 0, early: 0 }, at(0)],
  ['an early end', { code: 1, settled: false }, { ready: true, serving: 1, early: 1 }, at(100)],
  ['the fourth', { code: 1, settled: false }, { ready: true, serving: 0, early: 4 }, at(800)],
  ['the fifth, while others serve', { code: 1, settled: false }, { ready: true, serving: 1, early: 5 }, at(1600)],
  ['the fifth, when nobody serves', { code: 1, settled: false }, { ready: true, serving: 0, early: 5 }, giveUp(1)],
  ['the hundredth', { code: null, settled: false }, { ready: true, serving: 1, early: 100 }, at(30_000)],
  ['a wrong setting, while others serve', { code: 78, settled: false }, { ready: true, serving: 1, early: 2 }, at(200)],
  [
    'a wrong setting, when nobody serves',
    { code: 78, settled: false },
    { ready: true, serving: 0, early: 2 },
    giveUp(78),
  ],
])('what follows when %s', (_case, { code, settled }, { ready, serving, early }, consequence) => {
  const others = { haveBeenReady: ready, serving, earlyEnds: early }
  expect(consequenceOf({ code, hadSettled: settled }, others)).toEqual(consequence)
})

test.each([
  ['64', [64], [7]],
  ['64', [32, 32], [4, 3]],
  ['7', [3, 2, 2], [3, 2, 2]],
  ['2', [1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]],
])('HASH_QUEUE=%s is shared as %j, seven hashes at a time as %j', (HASH_QUEUE, queues, hashes) => {
  const env = { ...testEnvironment('postgres://u:p@localhost/d'), HASH_QUEUE, HASH_CONCURRENCY: '7' }
  const { config } = parseConfig(env)
  const parts = queues.map((_, slot) => shareOf(config, { slot, of: queues.length }))
  expect(parts.map((part) => part.HASH_QUEUE)).toEqual(queues)
  expect(parts.map((part) => part.HASH_CONCURRENCY)).toEqual(hashes)
})

/** As a process has it at one moment. */
async function snapshot(logins: number, pending: number, age: number): Promise<Snapshot> {
  const metrics = createMetrics()
  metrics.logins.inc({ outcome: 'success' }, logins)
  for (let time = 0; time < logins; time++) metrics.signSeconds.observe(0.002)
  metrics.gauge('pending', 'Summed', () => pending)
  metrics.gauge('age', 'The highest', () => age, 'max')
  return await metrics.registry.getMetricsAsJSON()
}

test('counters are summed and never go back; of gauges, what is over is over', async () => {
  const totals = createTotals()
  const lines = async () => {
    const text = await totals.text([])
    const value = (name: string) => new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]
    return {
      logins: value('claviger_logins_total\\{outcome="success"\\}'),
      signed: value('claviger_sign_seconds_count'),
      quick: value('claviger_sign_seconds_bucket\\{le="0.0025"\\}'),
      pending: value('pending'),
      age: value('age'),
    }
  }
  totals.keep(1, await snapshot(3, 2, 7))
  totals.keep(2, await snapshot(4, 1, Number.NaN))
  expect(await lines()).toEqual({ logins: '7', signed: '7', quick: '7', pending: '3', age: '7' })
  totals.keep(1, await snapshot(5, 0, 8))
  expect(await lines()).toEqual({ logins: '9', signed: '9', quick: '9', pending: '1', age: '8' })
  totals.bury(1)
  totals.bury(1)
  expect(await lines()).toEqual({ logins: '9', signed: '9', quick: '9', pending: '1', age: undefined })
  totals.keep(3, await snapshot(1, 1, 1))
  totals.bury(2)
  totals.bury(3)
  expect(await lines()).toEqual({ logins: '10', signed: '10', quick: '10', pending: undefined, age: undefined })
})
