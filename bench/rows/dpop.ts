import { authenticateToken } from '../../src/tokens/refresh.ts'
import type { Line } from '../line.ts'
import type { Outcome } from '../load.ts'
import { makeProofKey } from '../proofs.ts'
import type { Work } from '../sources.ts'
import { type Costs, type Stage, sumUp, warm, withCosts, wordsOnMachines } from '../stage.ts'

const ROUNDS = 3

/** What a refresh costs that proves a key (RFC 9449), against one that proves none, in turns on one server. */
export async function dpop(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const server = await stage.start(database)
  const chains = await stage.chains(database, 10_000)
  const { key, jkt } = makeProofKey()
  const [bound, plain] = [chains.slice(5000), chains.slice(0, 5000)]
  // Bound to the key when they began, as far as the server can tell.
  const families = bound.map((token) => authenticateToken(stage.keys, token)?.family)
  await database.query('UPDATE families SET dpop_jkt = $1 WHERE id = ANY ($2::uuid[])', [jkt, families])
  await database.query('VACUUM (FULL, ANALYZE) families')
  const works: [Work, string[]][] = [
    [{ kind: 'refresh' }, plain],
    [{ kind: 'refresh', key }, bound],
  ]
  stage.say('dpop: warming up')
  const sides = await Promise.all(
    works.map(async ([work, tokens]) => ({
      work,
      driver: await stage.drive(tokens),
      rounds: [] as (Outcome & Costs)[],
    })),
  )
  for (const { driver, work } of sides) await warm(driver, server, 3, work)
  stage.say('dpop: refreshes without a key and with one, in turns')
  for (let round = 0; round < ROUNDS; round++) {
    for (const { driver, work, rounds } of sides) {
      const pace = { connections: 32, seconds: seconds / ROUNDS }
      rounds.push(await withCosts(stage, server, () => driver.run(server, work, pace)))
    }
  }
  const [without, withKey] = sides.map(({ rounds }) => sumUp(rounds))
  if (!without || !withKey) throw new Error('nothing was measured')
  const cpu = (side: typeof without): number => side.node + side.postgres
  return [
    {
      what: 'refresh bound to a key ÷ not bound, 32 connections: CPU',
      ...withKey,
      against: `not bound ${cpu(without).toFixed(3)} ms${wordsOnMachines(stage, withKey)}`,
      figure: cpu(withKey) / cpu(without),
      unit: '×',
    },
    {
      what: '– requests per second',
      perSecond: withKey.perSecond,
      against: `not bound ${without.perSecond.toFixed(0)}/s`,
      figure: withKey.perSecond / without.perSecond,
      unit: '×',
      faults: without.faults,
    },
  ]
}
