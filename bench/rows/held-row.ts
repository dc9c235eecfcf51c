import { authenticateToken } from '../../src/tokens/refresh.ts'
import type { Line } from '../line.ts'
import { sumFaults } from '../load.ts'
import { type Stage, warm } from '../stage.ts'

/** One family's row is held, by a backup or a stuck transaction, and its client tries and tries: do others notice? */
export async function heldRow(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const database = await stage.prepare({ users: 5000, families: 10_000 })
  const [held = '', ...others] = await stage.chains(database, 10_000)
  const server = await stage.start(database)
  const users = await stage.drive(others)
  const stuck = await stage.drive([held])
  stage.say('one held row')
  const most = await warm(users, server)
  const rate = Math.round((most.done / most.seconds) * 0.2)
  const pace = { connections: 256, seconds, rate }
  const calm = await users.run(server, { kind: 'refresh' }, pace)

  await database.query('BEGIN')
  await database.query('SELECT FROM families WHERE id = $1 FOR UPDATE', [authenticateToken(stage.keys, held)?.family])
  const trying = stuck.run(server, { kind: 'refresh' }, { connections: 1, seconds })
  const during = await users.run(server, { kind: 'refresh' }, pace)
  await database.query('ROLLBACK')
  const { faults } = await trying
  await server.stop()
  const attempts = Object.entries(faults).map(([what, count]) => `${count} × ${what}`)
  return [
    {
      what: 'one held row: p95 of other families’ refreshes',
      perSecond: rate,
      p50: during.p50,
      p99: during.p99,
      p999: during.p999,
      against: `p95 ${calm.p95.toFixed(1)} ms without; its own client: ${attempts.join(', ')}`,
      figure: during.p95,
      unit: 'ms',
      target: { atMost: 500 },
      faults: sumFaults(calm, during),
    },
  ]
}
