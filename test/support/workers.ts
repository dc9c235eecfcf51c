import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf } from './child-processes.ts'
import type { RunningProcess } from './server.ts'

type Server = Pick<RunningProcess, 'process' | 'output'>

/** Process ids of a server that has several: of those that exist. */
export function workersOf({ process: { pid } }: Server): number[] {
  return childrenOf(pid as number, 'src/main.ts')
}

/** Of those that serve, as the server says in its log. */
export function servingOf(server: Server): number[] {
  const said = [...server.output().matchAll(/"worker":(\d+),"msg":"a process serves"/g)].map(([, pid]) => Number(pid))
  const present = workersOf(server)
  return said.filter((pid) => present.includes(pid))
}

/** Once `count` others serve in the place of those that are named. */
export async function untilServing(server: Server, count: number, without: readonly number[]): Promise<void> {
  while (servingOf(server).filter((pid) => !without.includes(pid)).length < count) await sleep(20)
}

/** The value of a metric, summed over its labels. */
export async function metricOf(server: Pick<RunningProcess, 'metricsUrl'>, name: string): Promise<number> {
  const text = await (await fetch(`${server.metricsUrl}/metrics`)).text()
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].map(([, value]) =>
    Number(value),
  )
  return values.reduce((sum, value) => sum + value, 0)
}
