import { once } from 'node:events'
import { join } from 'node:path'
import { LONGEST, plainEnvironment, start } from '../children.ts'
import type { Line } from '../line.ts'
import type { Outcome } from '../load.ts'
import { type Stage, warm } from '../stage.ts'
import { within } from '../within.ts'

/** Whether refreshes notice that expired sessions are deleted. */
export async function prune(stage: Stage): Promise<Line[]> {
  const expired = 200_000
  const database = await stage.prepare({ users: 10_000, families: expired + 20_000 })
  await database.query(`UPDATE families SET expires_at = now() - interval '2 hours' WHERE id IN
    (SELECT id FROM (SELECT id, row_number() OVER () AS n FROM families) AS f WHERE n % 11 <> 0)`)
  await database.query('VACUUM (ANALYZE) families')
  const server = await stage.start(database)
  const live = (await stage.chains(database, 220_000 / 11)).slice(0, 10_000)
  const driver = await stage.drive(live)
  stage.say('prune: refreshes without it')
  const most = await warm(driver, server)
  const rate = Math.round((most.done / most.seconds) * 0.4)
  const work = { kind: 'refresh' } as const
  const calm = await driver.run(server, work, { connections: 256, seconds: stage.options.seconds, rate })

  stage.say('prune: refreshes while it runs')
  const pruning = runPrune(stage, database.url)
  let during: Outcome | undefined
  const refreshes = driver.run(server, work, { connections: 256, seconds: stage.options.seconds, rate })
  const [seconds] = await Promise.all([pruning, refreshes.then((outcome) => (during = outcome))])
  const [left] = await database.query<{ left: string }>(
    'SELECT count(*) AS left FROM families WHERE expires_at < now()',
  )
  if (!during || left?.left !== '0') throw new Error(`${left?.left} expired families are left`)
  return [
    {
      what: `refresh while ${expired / 1000} k sessions are pruned: p99 ÷ p99 without`,
      perSecond: rate,
      p50: during.p50,
      p99: during.p99,
      p999: during.p999,
      against: `p99 ${calm.p99.toFixed(1)} ms; pruned in ${seconds.toFixed(1)} s`,
      figure: during.p99 / calm.p99,
      unit: '×',
      faults: during.faults,
    },
  ]
}

async function runPrune(stage: Stage, url: string): Promise<number> {
  const startedAt = performance.now()
  const child = start([join(import.meta.dirname, '../../src/cli/main.ts'), 'prune'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...plainEnvironment(),
      NODE_ENV: 'production',
      ISSUER: stage.issuer,
      DATABASE_URL: url,
      CLAVIGER_SECRET: stage.secret,
    },
  })
  const [code] = await within(LONGEST, 'the end of prune', once(child, 'exit'))
  if (code !== 0) throw new Error(`prune ended with ${code}`)
  return (performance.now() - startedAt) / 1000
}
