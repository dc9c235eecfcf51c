import { execFileSync, spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive } from '../../bench/processes.ts'
import { testEnvironment } from '../support/app.ts'
import { hasProc } from '../support/child-processes.ts'
import { forFile } from '../support/for-file.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { spawnServer, startServer } from '../support/server.ts'
import { metricOf, servingOf, untilServing, workersOf } from '../support/workers.ts'

// What the system has no more of when a process is to be started.

const database = forFile(await cloneDatabase())
const hasLimits = hasProc && spawnSync('prlimit', ['--version']).status === 0

/** Until `restore` is called, the process has this limit. @param resource of prlimit(1). */
function limit(pid: number, resource: string, value: number): { restore(): void } {
  const set = (to: string) => void execFileSync('prlimit', [`--pid=${pid}`, `--${resource}=${to}:`])
  const read = ['--raw', '--noheadings', '--output=SOFT']
  const before = execFileSync('prlimit', [`--pid=${pid}`, `--${resource}`, ...read], { encoding: 'utf8' }).trim()
  set(String(value))
  return { restore: () => set(before) }
}

test.skipIf(!hasLimits)(
  'one that the system does not start is tried again, while the others serve, and holds up no stop',
  {
    timeout: 180_000,
  },
  async () => {
    // More than fits into a quarter of a small stack, where the system puts it.
    const [PADDING, MORE] = ['x'.repeat(100_000), 'x'.repeat(100_000)]
    const env = { PROCESSES: '2', PADDING, MORE }
    const server = await startServer({ databaseUrl: database.url, env, timeoutMs: 60_000 })
    onTestFinished(() => server.kill())
    const primary = server.process.pid as number
    const refusals = () => server.output().match(/"msg":"a process could not be started"/g)?.length ?? 0
    const refused = async (times: number) => {
      const before = refusals()
      await expect.poll(refusals, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + times)
    }
    // Node tells of the first by an event, and throws the second.
    const gone: number[] = []
    for (const [code, resource, few] of [
      ['EMFILE', 'nofile', 8],
      ['E2BIG', 'stack', 512 * 1024],
    ] as const) {
      const { restore } = limit(primary, resource, few)
      const victim = servingOf(server)[0] as number
      gone.push(victim)
      process.kill(victim, 'SIGKILL')
      await refused(2)
      restore()
      expect(server.output()).toContain(code)
      await untilServing(server, 2, gone)
      expect(await metricOf(server, 'claviger_processes')).toBe(2)
    }
    limit(primary, 'nofile', 8)
    process.kill(servingOf(server)[0] as number, 'SIGKILL')
    await refused(1)
    expect(await server.stop()).toBe(0)
  },
)

test.skipIf(!hasProc)(
  'one that hangs as it starts does not stand in the way of a stop',
  { timeout: 120_000 },
  async () => {
    const env = {
      ...testEnvironment(database.url),
      PROCESSES: '2',
      PORT: '0',
      METRICS_PORT: '0',
      ISSUER: 'http://localhost:3000',
    }
    const { child, output, exited } = spawnServer(env)
    onTestFinished(() => void child.kill('SIGKILL'))
    const server = { process: child, output }
    while (workersOf(server).length < 2) await sleep(10)
    const serving = servingOf(server)
    const hanging = workersOf(server).find((pid) => !serving.includes(pid)) as number
    process.kill(hanging, 'SIGSTOP')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    expect(isAlive(hanging)).toBe(false)
  },
)
