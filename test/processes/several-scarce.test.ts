import { execFileSync, spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
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

describe.skipIf(!hasLimits)('a process that the system does not start', () => {
  const start = async () => {
    // More than fits into a quarter of a small stack, where the system puts it.
    const [PADDING, MORE] = ['x'.repeat(100_000), 'x'.repeat(100_000)]
    const env = { PROCESSES: '2', PADDING, MORE }
    const server = await startServer({ databaseUrl: database.url, env, timeoutMs: 60_000 })
    onTestFinished(() => server.kill())
    const refused = () => server.output().match(/"msg":"a process could not be started"/g)?.length ?? 0
    return { server, primary: server.process.pid as number, refused }
  }

  test.each([
    // Node tells of the first by an event, and throws the second.
    ['file descriptors', 'EMFILE', 'nofile', 8],
    ['room for its environment', 'E2BIG', 'stack', 512 * 1024],
  ])(
    'for want of %s is tried again, and the others serve',
    { timeout: 120_000 },
    async (_what, code, resource, few) => {
      const { server, primary, refused } = await start()
      const [first = 0] = servingOf(server)
      const { restore } = limit(primary, resource, few)
      process.kill(first, 'SIGKILL')
      await expect.poll(refused, { timeout: 30_000 }).toBeGreaterThan(1)
      restore()
      expect(server.output()).toContain(code)
      await untilServing(server, 2, [first])
      expect(await metricOf(server, 'claviger_processes')).toBe(2)
      expect(await server.stop()).toBe(0)
    },
  )

  test('does not stand in the way of a stop', { timeout: 120_000 }, async () => {
    const { server, primary, refused } = await start()
    limit(primary, 'nofile', 8)
    process.kill(servingOf(server)[0] as number, 'SIGKILL')
    await expect.poll(refused, { timeout: 30_000 }).toBeGreaterThan(0)
    expect(await server.stop()).toBe(0)
  })
})

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
