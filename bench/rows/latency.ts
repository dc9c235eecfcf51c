import type { Line } from '../line.ts'
import { type Stage, warm } from '../stage.ts'

/** How long a refresh takes while the server has room, and while it hardly has. */
export async function latency(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const server = await stage.start(database)
  const driver = await stage.drive(await stage.chains(database, 10_000))
  stage.say('latency: capacity')
  await warm(driver, server)
  const most = await driver.run(server, { kind: 'refresh' }, { connections: 32, seconds })
  const capacity = most.done / most.seconds
  const lines: Line[] = []
  for (const share of [0.3, 0.6, 0.9]) {
    const percent = Math.round(share * 100)
    stage.say(`latency: ${percent} %`)
    const pace = { connections: 256, seconds, rate: capacity * share }
    const { p50, p99, p999, faults } = await driver.run(server, { kind: 'refresh' }, pace)
    lines.push({
      what: `refresh, open loop at ${percent} % of capacity: p99`,
      perSecond: pace.rate,
      p50,
      p99,
      p999,
      against: `capacity ${capacity.toFixed(0)}/s`,
      figure: p99,
      unit: 'ms',
      faults,
    })
  }
  return lines
}
