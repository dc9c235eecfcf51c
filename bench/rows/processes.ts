import { type Contender, refreshInTurns } from '../in-turns.ts'
import type { Line } from '../line.ts'
import { type Stage, warm } from '../stage.ts'

/**
 * One process, and several behind one port, in turns. Where they share their cores with the load and the database, more of them
 * cannot add requests per second; what they must not do is make each request dearer.
 */
export async function processes(stage: Stage): Promise<Line[]> {
  const contenders: Contender[] = []
  for (const count of [1, 2, 4]) {
    const database = await stage.prepare({ users: 1000, families: 10_000 })
    const server = await stage.start(database, { env: { PROCESSES: String(count) } })
    const driver = await stage.drive(await stage.chains(database, 10_000))
    stage.say(`processes: warming up ${count}`)
    await warm(driver, server, 2 + count)
    contenders.push({ what: `CPU per refresh, ${count} process${count === 1 ? '' : 'es'} ÷ 1`, stage, server, driver })
  }
  return await refreshInTurns(contenders, stage.options.seconds)
}
