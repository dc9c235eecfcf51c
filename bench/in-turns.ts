import type { Line } from './line.ts'
import { type Outcome, sumFaults } from './load.ts'
import type { Server } from './server.ts'
import { type Costs, type Driver, type Stage, sumUp, withCosts, wordsOnMachines } from './stage.ts'

const ROUNDS = 3

/** One of several arrangements, ready to be refreshed at. */
export interface Contender {
  /** For the report, in which it is compared with the first. */
  what: string
  stage: Stage
  server: Server
  driver: Driver
}

/**
 * Refreshes at each in turns, so that the machine's moods cancel out; then at each as fast as 60 % of the slowest, for the
 * latency.
 * @returns a line for each, with its CPU per refresh ÷ that of the first.
 */
export async function refreshInTurns(contenders: readonly Contender[], seconds: number): Promise<Line[]> {
  const rounds = contenders.map((): (Outcome & Costs)[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { what, stage, server, driver }] of contenders.entries()) {
      stage.say(`${what}: round ${round + 1} of ${ROUNDS}`)
      const work = () => driver.run(server, { kind: 'refresh' }, { connections: 32, seconds: seconds / ROUNDS })
      rounds[index]?.push(await withCosts(stage, server, work))
    }
  }
  const sums = rounds.map(sumUp)
  const rate = 0.6 * Math.min(...sums.map(({ perSecond }) => perSecond))
  const first = sums[0] ? sums[0].node + sums[0].postgres : Number.NaN
  const lines: Line[] = []
  for (const [index, { what, stage, server, driver }] of contenders.entries()) {
    stage.say(`${what}: latency`)
    const open = await driver.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate })
    const sum = sums[index]
    if (!sum) continue
    const { perSecond, node, postgres, faults } = sum
    lines.push({
      what,
      perSecond,
      p50: open.p50,
      p99: open.p99,
      p999: open.p999,
      node,
      postgres,
      against: `${first.toFixed(3)} ms${wordsOnMachines(stage, sum)}; latency at ${rate.toFixed(0)}/s`,
      figure: (node + postgres) / first,
      unit: '×',
      faults: sumFaults({ faults }, open),
    })
  }
  return lines
}
