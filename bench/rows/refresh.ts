import { costOf, rsa } from '../ceilings.ts'
import type { Line } from '../line.ts'
import { sumFaults } from '../load.ts'
import { type Stage, sumUp, warm, withCosts, wordsOnMachines } from '../stage.ts'

/** What a refresh costs, against the one signature in it; and how long it takes. */
export async function refresh(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const server = await stage.start(database)
  const driver = await stage.drive(await stage.chains(database, 10_000))
  stage.say('refresh: warming up')
  await warm(driver, server)

  stage.say('refresh: 32 connections, and signatures alone before, between and after')
  const full = () => driver.run(server, { kind: 'refresh' }, { connections: 32, seconds: seconds / 2 })
  const before = await rsa(seconds / 5)
  const first = await withCosts(stage, server, full)
  const between = await rsa(seconds / 5)
  const second = await withCosts(stage, server, full)
  const signature = costOf([before, between, await rsa(seconds / 5)])
  const sum = sumUp([first, second])

  stage.say('refresh: latency at 60 % of that')
  const open = await driver.run(server, { kind: 'refresh' }, { connections: 256, seconds, rate: sum.perSecond * 0.6 })
  return [
    {
      what: 'refresh, 32 connections',
      ...sum,
      p50: open.p50,
      p99: open.p99,
      p999: open.p999,
      against: `RSA-2048 ${signature.toFixed(3)} ms${wordsOnMachines(stage, sum)}`,
      figure: (sum.node + sum.postgres) / signature,
      unit: '×',
      target: { atMost: 2 },
      faults: sumFaults(sum, open),
    },
  ]
}
