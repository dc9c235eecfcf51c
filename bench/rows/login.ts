import { costOf, verifications } from '../ceilings.ts'
import type { Line } from '../line.ts'
import { emailOf, password } from '../seed.ts'
import { type Stage, sumUp, withCosts, wordsOnMachines } from '../stage.ts'

/** What a sign-in costs, against the one argon2 verification in it. */
export async function login(stage: Stage): Promise<Line[]> {
  const { seconds } = stage.options
  const users = 5000
  const database = await stage.prepare({ users, families: users })
  const server = await stage.start(database)
  const driver = await stage.drive()
  const work = { kind: 'login', password, emails: Array.from({ length: users }, (_, user) => emailOf(user)) } as const
  const signIn = (length: number) => driver.run(server, work, { connections: 8, seconds: length })
  stage.say('login: warming up')
  // As long as a measurement: at fifty a second, V8 takes several seconds to see what is hot.
  await signIn(seconds)

  stage.say('login: 8 connections, and argon2 alone before, between and after')
  const before = await verifications(seconds / 4)
  const first = await withCosts(stage, server, () => signIn(seconds / 2))
  const between = await verifications(seconds / 4)
  const second = await withCosts(stage, server, () => signIn(seconds / 2))
  const verification = costOf([before, between, await verifications(seconds / 4)])
  const sum = sumUp([first, second])
  return [
    {
      what: 'login, 8 connections',
      ...sum,
      against: `argon2 ${verification.toFixed(1)} ms${wordsOnMachines(stage, sum)}`,
      figure: (sum.node + sum.postgres) / verification,
      unit: '×',
      target: { atMost: 1.15 },
    },
  ]
}
