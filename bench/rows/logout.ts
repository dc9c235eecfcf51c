import type { Line } from '../line.ts'
import { countRoundTrips } from '../round-trip-counter.ts'
import { type Stage, withCosts, wordsOnMachines } from '../stage.ts'

const work = { kind: 'logout' } as const

/** What it costs to end a session: its row, its event in the trail, and what verifiers are told. */
export async function logout(stage: Stage): Promise<Line[]> {
  stage.say('logout')
  const database = await stage.prepare({ users: 1000, families: 40_000 })
  const counter = await countRoundTrips(database.url)
  const counted = await stage.start({ url: counter.url })
  const tokens = await stage.chains(database, 40_000)
  const driver = await stage.drive(tokens)
  // The first statements on each connection.
  await driver.run(counted, work, { connections: 8, seconds: 0.5 })
  const before = counter.count()
  const { done } = await driver.run(counted, work, { connections: 8, seconds: 1 })
  const roundTrips = (counter.count() - before) / done
  await counted.stop()
  counter.close()

  const server = await stage.start(database)
  await driver.run(server, work, { connections: 8, seconds: 2 })
  const outcome = await withCosts(stage, server, () =>
    driver.run(server, work, { connections: 8, seconds: Math.min(stage.options.seconds, 10) }),
  )
  return [
    {
      what: 'logout, 8 connections: CPU-ms',
      perSecond: outcome.done / outcome.seconds,
      p50: outcome.p50,
      p99: outcome.p99,
      p999: outcome.p999,
      node: outcome.node,
      postgres: outcome.postgres,
      against: `${roundTrips.toFixed(1)} round trips${wordsOnMachines(stage, outcome)}`,
      figure: outcome.node + outcome.postgres,
      unit: 'ms',
      faults: outcome.faults,
    },
  ]
}
