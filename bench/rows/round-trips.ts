import type { Line } from '../line.ts'
import { countRoundTrips } from '../round-trip-counter.ts'
import { type Stage, warm } from '../stage.ts'

/** Counted where they pass, between the server and PostgreSQL. */
export async function roundTrips(stage: Stage): Promise<Line[]> {
  stage.say('round trips')
  const database = await stage.prepare({ users: 1000, families: 1000 })
  const counter = await countRoundTrips(database.url)
  const server = await stage.start({ url: counter.url })
  const driver = await stage.drive(await stage.chains(database, 1000))
  // The first statements on each connection, and the first lease of the rate limit.
  await warm(driver, server, 1)
  const before = counter.count()
  const { done, faults } = await driver.run(server, { kind: 'refresh' }, { connections: 8, seconds: 2 })
  const figure = (counter.count() - before) / done
  counter.close()
  // A refresh in 50,000 leases from the rate limit, and once a minute the clock is compared.
  const target = { atMost: 1.005 }
  return [{ what: 'round trips per refresh', figure: Math.round(figure * 1000) / 1000, target, faults }]
}
