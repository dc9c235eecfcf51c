import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { isAlive } from '../../bench/processes.ts'
import { TEST_PASSWORD, testEnvironment } from '../support/app.ts'
import { childrenOf, hasProc } from '../support/child-processes.ts'
import { forFile } from '../support/for-file.ts'
import { signUpOver } from '../support/honest-client.ts'
import { answers } from '../support/ports.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { type RunningProcess, spawnServer, startServer } from '../support/server.ts'
import { metricOf, servingOf, untilServing, workersOf } from '../support/workers.ts'

const database = forFile(await cloneDatabase())

/** With the URL of the database in a file, which processes read when they start. */
async function startWithFile(env: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'several-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'url')
  await writeFile(file, database.url)
  const all = { PROCESSES: '2', DATABASE_URL: '', DATABASE_URL_FILE: file, ...env }
  const server = await startServer({ databaseUrl: database.url, env: all, timeoutMs: 60_000 })
  onTestFinished(() => server.kill())
  return { server, file }
}

const ended = async (server: RunningProcess): Promise<unknown> =>
  server.process.exitCode ?? ((await once(server.process, 'exit')) as unknown[])[0]

/** Once none of them runs any more. */
async function untilGone(pids: readonly number[]): Promise<void> {
  while (pids.some((pid) => isAlive(pid))) await sleep(10)
}

const statusOf = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).status

describe.skipIf(!hasProc)('a process of several that cannot be replaced', () => {
  test('leaves the others serving; when its fault is mended, another takes its place', {
    timeout: 120_000,
  }, async () => {
    const { server, file } = await startWithFile()
    const [first = 0, second = 0] = servingOf(server)
    await rename(file, `${file}.away`)
    process.kill(first, 'SIGKILL')
    await expect
      .poll(() => server.output().match(/DATABASE_URL: the file/g)?.length, { timeout: 60_000 })
      .toBeGreaterThan(2)
    expect(await statusOf(`${server.url}/readyz`)).toBe(200)
    expect(await metricOf(server, 'claviger_processes')).toBe(1)
    await rename(`${file}.away`, file)
    await untilServing(server, 2, [first])
    expect(servingOf(server)).toContain(second)
    expect(await server.stop()).toBe(0)
  })

  test('ends the server with 78 when nobody is left and a setting is wrong', { timeout: 60_000 }, async () => {
    const { server, file } = await startWithFile()
    await rm(file)
    for (const pid of servingOf(server)) process.kill(pid, 'SIGKILL')
    expect(await ended(server)).toBe(78)
    expect(server.output()).toContain('processes end as soon as they start; giving up')
  })

  test('ends the server when nobody is left and others end as they start, again and again', {
    timeout: 120_000,
  }, async () => {
    const { server, file } = await startWithFile()
    // Which is not waited for.
    const url = new URL(database.url)
    url.password = 'wrong'
    await writeFile(file, url.href)
    for (const pid of servingOf(server)) process.kill(pid, 'SIGKILL')
    expect(await ended(server)).toBe(1)
    expect(server.output().match(/"msg":"the server could not start"/g)?.length).toBeGreaterThanOrEqual(3)
    expect(server.output()).toContain('processes end as soon as they start; giving up')
  })
})

describe('a first process that does not start', () => {
  test.each([
    ['a mail template with a fault', 78, 'MAIL_TEMPLATES', async () => ({ MAIL_TEMPLATES: tmpdir() + '/nowhere' })],
    [
      'a wrong password of the database',
      1,
      'password authentication failed',
      async () => {
        const url = new URL(database.url)
        url.password = 'wrong'
        return { DATABASE_URL: url.href }
      },
    ],
    ['a port that is in use', 1, 'choose another one with PORT', async () => ({ PORT: await takenPort() })],
    [
      'a port for metrics that is in use',
      1,
      'choose another one with METRICS_PORT',
      async () => ({ METRICS_PORT: await takenPort() }),
    ],
  ])('ends the server with its exit code: %s', async (_fault, code, message, faulty) => {
    const env = {
      ...testEnvironment(database.url),
      PROCESSES: '4',
      PORT: '0',
      METRICS_PORT: '0',
      ISSUER: 'http://localhost:3000',
    }
    const { output, exited } = spawnServer({ ...env, ...(await faulty()) })
    expect(await exited).toBe(code)
    const said = output()
      .split('\n')
      .filter((line) => line.includes(message))
    expect(said).toHaveLength(1)
  })
})

async function takenPort(): Promise<string> {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  onTestFinished(() => void taken.close())
  return String((taken.address() as AddressInfo).port)
}

describe.skipIf(!hasProc)('the end of several processes', () => {
  const start = (env: Record<string, string> = {}) =>
    startServer({ databaseUrl: database.url, env: { PROCESSES: '2', ...env }, timeoutMs: 60_000 })

  test('with the primary: those that it has started, and what these have, end when it is killed', async () => {
    await using server = await start()
    // Each has a process for hashes.
    const { email, password } = await signUpOver(server.url, 1)
    for (let turn = 0; turn < 8; turn++) await postJson(`${server.url}/login`, { email, password, client_id: 'native' })
    const workers = workersOf(server)
    const hashers = workers.flatMap((pid) => childrenOf(pid, 'hash-child.ts'))
    expect(workers).toHaveLength(2)
    expect(hashers.length).toBeGreaterThan(0)
    await server.kill()
    await untilGone([...workers, ...hashers])
    expect(await answers(Number(new URL(server.url).port))).toBe(false)
  })

  test('SIGTERM drains all of them: each says that it is not ready, finishes what it has begun, and the exit is clean', {
    timeout: 60_000,
  }, async () => {
    await using server = await start({ SHUTDOWN_DELAY_SECONDS: '3' })
    const workers = workersOf(server)
    const code = server.stop()
    const probe = () => statusOf(`${server.url}/readyz`)
    await expect.poll(probe).toBe(503)
    expect(new Set(await Promise.all(Array.from({ length: 20 }, probe)))).toEqual(new Set([503]))
    const account = { email: `u${randomBytes(4).toString('hex')}@example.com`, password: TEST_PASSWORD }
    const begun = Array.from({ length: 4 }, (_, index) =>
      postJson(`${server.url}/register`, { ...account, email: `${index}${account.email}` }),
    )
    expect((await Promise.all(begun)).map(({ status }) => status)).toEqual([201, 201, 201, 201])
    expect(await code).toBe(0)
    await untilGone(workers)
    expect(server.output().match(/"msg":"stopped"/g)).toHaveLength(3)
  })

  test('a second SIGTERM ends all at once', async () => {
    await using server = await start({ SHUTDOWN_DELAY_SECONDS: '300' })
    const workers = workersOf(server)
    const code = server.stop()
    await expect.poll(() => server.output()).toContain('"msg":"stopping"')
    server.process.kill('SIGTERM')
    expect(await code).toBe(1)
    await untilGone(workers)
  })

  test('one that hangs is killed, and another takes its place', { timeout: 120_000 }, async () => {
    await using server = await start()
    const [hanging = 0] = servingOf(server)
    process.kill(hanging, 'SIGSTOP')
    await untilServing(server, 2, [hanging])
    expect(isAlive(hanging)).toBe(false)
    expect(server.output()).toContain('a process hangs; it is killed')
    expect(await server.stop()).toBe(0)
  })

  test('a stop while the first one starts is a clean one', async () => {
    const env = {
      ...testEnvironment('postgres://nobody@127.0.0.1:1/nowhere'),
      PROCESSES: '2',
      PORT: '0',
      METRICS_PORT: '0',
    }
    const { child, output, exited } = spawnServer(env)
    await expect.poll(output, { timeout: 15_000 }).toContain('does not answer yet')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })
})
