import { setTimeout as sleep } from 'node:timers/promises'
import type { Line } from '../line.ts'
import { memoryOf } from '../processes.ts'
import type { Stage } from '../stage.ts'

export async function memory(stage: Stage): Promise<Line[]> {
  stage.say('memory')
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const server = await stage.start(database)
  await sleep(3000)
  const idle = await memoryOf(server.pid)

  const driver = await stage.drive(await stage.chains(database, 10_000))
  let most = idle
  const sampling = setInterval(() => {
    memoryOf(server.pid).then(
      (now) => {
        most = Math.max(most, now)
      },
      () => {},
    )
  }, 100)
  const { faults } = await driver.run(server, { kind: 'refresh' }, { connections: 32, seconds: stage.options.seconds })
  clearInterval(sampling)
  return [
    { what: 'memory, idle', figure: idle, unit: 'MiB', target: { atMost: 110 } },
    { what: 'memory, most under the refresh load', figure: most, unit: 'MiB', target: { atMost: 160 }, faults },
  ]
}
