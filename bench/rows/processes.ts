import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { type Costs, type Stage, sumUp, warm, withCosts } from '../stage.ts'

const ROUNDS = 3

/**
 * One process, and several behind one port, in turns. Where they share their cores with the load and the database, more of them
 * cannot add requests per second; what they must not do is make each request dearer.
 */
export async function processes(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const contenders = []
  for (const count of [1, 2, 4]) {
    const database = await stage.prepare({ users: 1000, families: 10_000 })
    const server = await stage.start(database, { env: { PROCESSES: String(count) } })
    const driver = await stage.drive(await stage.chains(database, 10_000))
    contenders.push({ count, server, driver, rounds: [] as (Outcome & Costs)[] })
  }
  stage.say('processes: warming up')
  for (const { driver, server, count } of contenders) await warm(driver, server, 2 + count)
  for (let round = 0; round < ROUNDS; round++) {
    for (const { count, driver, server, rounds } of contenders) {
      stage.say(`processes: ${count}, round ${round + 1} of ${ROUNDS}`)
      const work = () => driver.run(server, { kind: 'refresh' }, { connections: 32, seconds: seconds / ROUNDS })
      rounds.push(await withCosts(stage, server, work))
    }
  }
  const sums = contenders.map(({ rounds }) => sumUp(rounds))
  const rate = 0.6 * Math.min(...sums.map(({ perSecond }) => perSecond))
  const one = sums[0] ? sums[0].node + sums[0].postgres : Number.NaN
  const lines: Line[] = []
  for (const [index, { count, server, driver }] of contenders.entries()) {
    stage.say(`processes: latency with ${count}`)
    const open = await driver.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate })
    const { node = Number.NaN, postgres = Number.NaN, perSecond = Number.NaN, faults = {} } = sums[index] ?? {}
    lines.push({
      what: `CPU per refresh, ${count} process${count === 1 ? '' : 'es'} ÷ 1`,
      perSecond,
      p50: open.p50,
      p99: open.p99,
      p999: open.p999,
      node,
      postgres,
      against: `${one.toFixed(3)} ms; latency at ${rate.toFixed(0)}/s`,
      figure: (node + postgres) / one,
      unit: '×',
      faults: sumFaults({ faults }, open),
    })
  }
  return lines
}
