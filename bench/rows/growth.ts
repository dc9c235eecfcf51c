import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { type Costs, type Stage, warm, withCosts } from '../stage.ts'

/** What a refresh costs in a large table against a small one; measured in turns, so that the machine's moods cancel out. */
export async function growth(stage: Stage): Promise<Line[]> {
  const { families, seconds } = stage.options
  const contenders = []
  for (const size of [10_000, families]) {
    const startedAt = performance.now()
    const database = await stage.prepare({ users: size / 10, families: size })
    const seeded = (performance.now() - startedAt) / 1000
    const server = await stage.start(database)
    const driver = await stage.drive(await stage.chains(database, 10_000))
    // What seeding left in memory is written now, not while refreshes are measured.
    await database.query('CHECKPOINT')
    contenders.push({ server, driver, seeded, rounds: [] as (Costs & Pick<Outcome, 'done' | 'faults'>)[] })
  }
  // Every page that will be written has its full image in the log before anything is measured.
  stage.say('growth: warming up')
  for (const { driver, server } of contenders) await warm(driver, server, Math.max(10, seconds))
  for (let round = 0; round < 3; round++) {
    for (const [index, { driver, server, rounds }] of contenders.entries()) {
      stage.say(`growth: round ${round + 1} of 3, ${index === 0 ? 'small' : 'large'} table`)
      const work = () => driver.run(server, { kind: 'refresh' }, { connections: 32, seconds: seconds / 2 })
      rounds.push(await withCosts(stage, server, work))
    }
  }
  const [small, large] = contenders.map(({ rounds, seeded }) => {
    const done = rounds.reduce((sum, round) => sum + round.done, 0)
    const mean = (read: (costs: Costs) => number): number =>
      rounds.reduce((sum, round) => sum + read(round) * round.done, 0) / done
    const faults = sumFaults(...rounds)
    return { node: mean(({ node }) => node), postgres: mean(({ postgres }) => postgres), faults, seeded }
  })
  if (!small || !large) throw new Error('nothing was measured')
  return [
    {
      what: `CPU per refresh, ${families / 1e6} million families ÷ 10 thousand`,
      node: large.node,
      postgres: large.postgres,
      against: `${(small.node + small.postgres).toFixed(3)} ms (PostgreSQL ${small.postgres.toFixed(3)}); seeded in ${large.seeded.toFixed(0)} s`,
      figure: (large.node + large.postgres) / (small.node + small.postgres),
      unit: '×',
      target: { atMost: 1.15 },
      faults: sumFaults(small, large),
    },
  ]
}
