import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Line } from '../line.ts'
import { cpuByThread, cpuOfFamily } from '../processes.ts'
import { type Stage, warm } from '../stage.ts'

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  timeDeltas: number[]
}

/** Where the time of a refresh goes: by thread, and on the main thread by the place in the code that was running. */
export async function profile(stage: Stage): Promise<Line[]> {
  stage.say('profile')
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const directory = join(stage.cluster.directory, 'profile')
  const server = await stage.start(database, {
    nodeArgs: ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${directory}`],
  })
  const driver = await stage.drive(await stage.chains(database, 10_000))
  const early = await warm(driver, server)
  const before = await cpuByThread(server.pid)
  const postgresBefore = await cpuOfFamily(stage.cluster.pid)
  const { done, faults } = await driver.run(
    server,
    { kind: 'refresh' },
    { connections: 32, seconds: 2 * stage.options.seconds },
  )
  const after = await cpuByThread(server.pid)
  const postgres = (await cpuOfFamily(stage.cluster.pid)) - postgresBefore
  await server.stop('SIGTERM')

  const line = (what: string, ms: number): Line => ({ what, figure: ms / done, unit: 'ms' })
  const threads = [...after].map(([name, ms]) => line(`thread ${name}`, ms - (before.get(name) ?? 0)))
  const [file = ''] = await readdir(directory)
  const parsed = JSON.parse(await readFile(join(directory, file), 'utf8')) as CpuProfile
  const places = byPlace(parsed, done + early.done)
  return [
    ...threads.filter(({ figure }) => figure > 0.001).toSorted((a, b) => b.figure - a.figure),
    { ...line('PostgreSQL', postgres), faults },
    ...places,
  ]
}

/** Self times over the whole life of the process, so the start is in it too, spread over all requests. */
function byPlace({ nodes, samples, timeDeltas }: CpuProfile, requests: number): Line[] {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const sums = new Map<string, number>()
  for (const [index, id] of samples.entries()) {
    const place = places.get(id) ?? '?'
    sums.set(place, (sums.get(place) ?? 0) + (timeDeltas[index] ?? 0) / 1000)
  }
  return [...sums]
    .filter(([place]) => place !== '(idle)')
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 30)
    .map(([place, ms]) => ({ what: `main: ${place}`, figure: (1000 * ms) / requests, unit: 'µs' }))
}

function placeOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string {
  if (url === '') return functionName || '(anonymous)'
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (dependency) return dependency
  if (url.startsWith('node:')) return url
  return /\/src\/.*/.exec(url)?.[0].slice(1) ?? url
}
