import { type Cluster, openGiven, openOwn } from '../cluster.ts'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { type Costs, createStage, type Stage, sumUp, warm, withCosts, wordsOnMachines } from '../stage.ts'

const ROUNDS = 3

/**
 * The engines given by --database against a plain PostgreSQL of our own, of the same version where we have it: the same load on
 * each in turns, so that the machine's moods cancel out.
 * @throws Error if none is given.
 */
export async function engine(stage: Stage): Promise<Line[]> {
  const { databases } = stage.options
  if (databases.length === 0) throw new Error('the row engine compares what --database names: it is missing')
  const given: Cluster[] = [stage.cluster]
  for (const url of databases.slice(1)) given.push(await openGiven(url))
  const plain = await openOwn(stage.cluster.version.startsWith('15') ? '15' : '18')
  const stages = [plain, ...given].map((cluster) => createStage(stage.options, cluster, stage.say))
  try {
    return await compare(stages)
  } finally {
    for (const each of stages) await each.clear()
  }
}

async function compare(stages: Stage[]): Promise<Line[]> {
  const contenders = []
  for (const stage of stages) {
    stage.say(`engine: preparing ${stage.cluster.kind}`)
    const database = await stage.prepare({ users: 1000, families: 10_000 })
    const server = await stage.start(database)
    const driver = await stage.drive(await stage.chains(database, 10_000))
    await warm(driver, server)
    contenders.push({ stage, server, driver, rounds: [] as (Outcome & Costs)[] })
  }
  const seconds = contenders[0]?.stage.options.seconds ?? 0
  for (let round = 0; round < ROUNDS; round++) {
    for (const { stage, server, driver, rounds } of contenders) {
      stage.say(`engine: round ${round + 1} of ${ROUNDS}, ${stage.cluster.kind}`)
      const work = () => driver.run(server, { kind: 'refresh' }, { connections: 32, seconds: seconds / ROUNDS })
      rounds.push(await withCosts(stage, server, work))
    }
  }
  const sums = contenders.map(({ rounds }) => sumUp(rounds))
  const rate = 0.6 * Math.min(...sums.map(({ perSecond }) => perSecond))
  const alone = sums[0] ? sums[0].node + sums[0].postgres : Number.NaN
  const lines: Line[] = []
  for (const [index, { stage, server, driver }] of contenders.entries()) {
    stage.say(`engine: latency on ${stage.cluster.kind}`)
    const open = await driver.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate })
    const sum = sums[index]
    if (!sum) continue
    const { perSecond, node, postgres, faults } = sum
    lines.push({
      what: `CPU per refresh, ${stage.cluster.kind} ÷ PostgreSQL alone`,
      perSecond,
      p50: open.p50,
      p99: open.p99,
      p999: open.p999,
      node,
      postgres,
      against: `${alone.toFixed(3)} ms${wordsOnMachines(stage, sum)}; latency at ${rate.toFixed(0)}/s`,
      figure: (node + postgres) / alone,
      unit: '×',
      faults: sumFaults({ faults }, open),
    })
  }
  return lines
}
