import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Line } from '../line.ts'
import { sumFaults } from '../load.ts'
import { cpuOfFamily } from '../processes.ts'
import { freePort, type Server } from '../server.ts'
import { type Driver, type Stage, warm } from '../stage.ts'

/** Every token sent to two replicas at the same moment: any failure, and any second successor, counts. */
export async function replicas(stage: Stage): Promise<Line[]> {
  stage.say('two replicas')
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const servers = [await stage.start(database), await stage.start(database)] as const
  const driver = await stage.drive(await stage.chains(database, 10_000))
  const [one, other] = servers
  const { done, faults, seconds } = await driver.twice([one.port, other.port], 32, stage.options.seconds)
  const wrong = Object.values(faults).reduce((sum, count) => sum + count, 0)
  const twice: Line = {
    what: 'two replicas, each token to both at once: failures',
    perSecond: done / seconds,
    against: `${done} exchanges`,
    figure: wrong,
    target: { atMost: 0 },
    faults,
  }
  const haproxy = ['/usr/sbin', '/usr/local/sbin', '/usr/bin'].map((place) => join(place, 'haproxy')).find(existsSync)
  if (!haproxy) {
    stage.say('no haproxy on this machine: no line for it')
    return [twice]
  }
  await driver.load(await stage.chains(database, 10_000))
  return [twice, await balanced(stage, haproxy, servers, driver)]
}

/**
 * One process behind HAProxy in mode tcp, and two, in turns. Where they share their cores with the load and the database,
 * a second process cannot add requests per second; what it must not do is make each of them dearer.
 */
async function balanced(stage: Stage, haproxy: string, servers: readonly Server[], driver: Driver): Promise<Line> {
  const sets = [servers.slice(0, 1), servers].map((behind) => ({ behind, done: 0, seconds: 0, cpu: 0, middle: 0 }))
  const outcomes = []
  for (const server of servers) await warm(driver, server)
  for (let round = 0; round < 2; round++) {
    for (const set of sets) {
      stage.say(`HAProxy before ${set.behind.length}`)
      const balancer = await startHaproxy(stage, haproxy, set.behind)
      try {
        const read = async () => {
          const pids = [stage.cluster.pid, ...stage.cluster.workers, ...set.behind.map(({ pid }) => pid)]
          const each = await Promise.all(pids.map(cpuOfFamily))
          return { cpu: each.reduce((sum, ms) => sum + ms, 0), middle: await cpuOfFamily(balancer.pid) }
        }
        const before = await read()
        const pace = { connections: 32, seconds: stage.options.seconds / 2 }
        const outcome = await driver.run(balancer, { kind: 'refresh' }, pace)
        const after = await read()
        outcomes.push(outcome)
        set.done += outcome.done
        set.seconds += outcome.seconds
        set.cpu += after.cpu - before.cpu
        set.middle += after.middle - before.middle
      } finally {
        balancer.stop()
      }
    }
  }
  const [alone, both] = sets.map(({ done, seconds, cpu, middle }) => ({
    perSecond: done / seconds,
    each: (cpu + middle) / done,
    middle: middle / done,
  }))
  if (!alone || !both) throw new Error('nothing was measured')
  return {
    what: 'CPU per refresh, two processes behind HAProxy ÷ one',
    perSecond: both.perSecond,
    against: `${alone.each.toFixed(3)} ms (HAProxy ${alone.middle.toFixed(3)}), ${alone.perSecond.toFixed(0)}/s`,
    figure: both.each / alone.each,
    unit: '×',
    faults: sumFaults(...outcomes),
  }
}

async function startHaproxy(stage: Stage, haproxy: string, servers: readonly Server[]) {
  const port = await freePort()
  const file = join(stage.cluster.directory, 'haproxy.cfg')
  const lines = servers.map((server) => `  server s${server.port} 127.0.0.1:${server.port}\n`)
  const times = '  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n'
  await writeFile(
    file,
    `global\n  nbthread 1\nlisten all\n  mode tcp\n  bind 127.0.0.1:${port}\n${times}  balance leastconn\n${lines.join('')}`,
  )
  // Dies with us, however we end.
  const child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', haproxy, '-db', '-f', file], { stdio: 'inherit' })
  await sleep(500)
  if (child.exitCode !== null || child.pid === undefined) throw new Error('HAProxy did not start')
  return { port, pid: child.pid, stop: () => void child.kill('SIGKILL') }
}
