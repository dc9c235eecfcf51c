import { readdirSync, readFileSync } from 'node:fs'
import { constants, getPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { computeHere } from '../../../src/credentials/passwords/argon2.ts'
import { createHashProcess } from '../../../src/credentials/passwords/hash-process.ts'
import { createLog } from '../../../src/log.ts'
import { childrenOf, hasProc } from '../../support/child-processes.ts'

const cost = { memoryKib: 1024, passes: 2, lanes: 1, salt: Buffer.alloc(16, 7) }
/** Takes a few seconds: long enough to be interrupted. */
const long = { ...cost, memoryKib: 1 << 18, passes: 20 }

const stops: (() => void)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) stop()
  await until(() => children().length === 0)
})

function start(env: Record<string, string> = {}, patienceMs = 30_000) {
  const log = createLog({ LOG_LEVEL: 'silent' })
  const hashes = createHashProcess({ threads: 2, env, log, patienceMs })
  stops.push(hashes.stop)
  return hashes
}

/** Process ids of the running children that hash. */
const children = (): number[] => childrenOf(process.pid, 'hash-child.ts')

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds() && turn < 500; turn++) await sleep(10)
  expect(holds()).toBe(true)
}

test('computes what this process would, several at a time', async () => {
  const { computeTag } = start()
  const texts = ['', 'correct horse', 'p\u00e4ss\ud83d\udd11', 'x'.repeat(10_000)]
  const [there, here] = await Promise.all(
    [computeTag, computeHere].map((compute) => Promise.all(texts.map((text) => compute(text, cost, 32)))),
  )
  expect(there).toEqual(here)
  expect(there?.every((tag) => Buffer.isBuffer(tag))).toBe(true)
})

test('starts with the first computation, at low priority', async () => {
  const { computeTag } = start()
  expect(children()).toEqual([])
  await computeTag('text', cost, 32)
  const [pid = 0, ...others] = children()
  expect(others).toEqual([])
  expect(getPriority(pid)).toBe(constants.priority.PRIORITY_BELOW_NORMAL)
})

test.skipIf(!hasProc)('its threads have that priority, and it knows no setting (needs /proc)', async () => {
  const { computeTag } = start({ CLAVIGER_SECRET: 'never', DATABASE_URL: 'never', NODE_OPTIONS: '--never' })
  await computeTag('text', cost, 32)
  const [pid = 0] = children()
  // All of its threads, or it would be the one that only waits.
  const threads = readdirSync(`/proc/${pid}/task`).filter((id) =>
    readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8').startsWith('libuv-worker'),
  )
  expect(threads).toHaveLength(2)
  for (const thread of threads) expect(getPriority(Number(thread))).toBe(constants.priority.PRIORITY_BELOW_NORMAL)
  expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain('never')
})

test.skipIf(!hasProc)('computations reuse the memory of those before them (needs /proc)', async () => {
  const { computeTag } = start()
  const memoryKib = 19_456
  const pair = () => Promise.all(['one', 'two'].map((text) => computeTag(text, { ...cost, memoryKib, passes: 1 }, 32)))
  const faults = () => Number(readFileSync(`/proc/${children()[0]}/stat`, 'utf8').split(') ')[1]?.split(' ')[7])
  for (let turn = 0; turn < 5; turn++) await pair()
  const before = faults()
  for (let turn = 0; turn < 20; turn++) await pair()
  // Memory that was given back would cost each computation one for each page: 4,864 of 4 KiB, or 10 of 2 MiB and what juts out.
  expect(faults() - before).toBeLessThan(100)
})

test('a computation that cannot be done is an error, and the next is done', async () => {
  const { computeTag } = start()
  await expect(computeTag('text', { ...cost, memoryKib: 1 }, 32)).rejects.toThrow('argon2 failed')
  await expect(computeTag('text', cost, 32)).resolves.toHaveLength(32)
})

test('if the process is killed, what it was computing is refused as an outage, and another takes over', async () => {
  const { computeTag } = start()
  const first = computeTag('text', long, 32)
  const second = computeTag('text', long, 32)
  const refusals = Promise.allSettled([first, second])
  await until(() => children().length === 1)
  const [pid = 0] = children()
  process.kill(pid, 'SIGKILL')
  for (const outcome of await refusals) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unavailable', retryAfter: 1 } })
  }
  await expect(computeTag('text', cost, 32)).resolves.toHaveLength(32)
  expect(children()).not.toContain(pid)
})

test('a process that stands still is ended: what waits for it is refused as an outage, and another takes over', async () => {
  const { computeTag } = start({}, 3000)
  await computeTag('text', cost, 32)
  const [pid = 0] = children()
  process.kill(pid, 'SIGSTOP')
  const answers = await Promise.allSettled([computeTag('one', cost, 32), computeTag('two', cost, 32)])
  for (const outcome of answers) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
  await expect(computeTag('text', cost, 32)).resolves.toHaveLength(32)
  expect(children()).not.toContain(pid)
})

test('signals of the terminal do not end it, the end of the server does', async () => {
  const { computeTag, stop } = start()
  await computeTag('text', cost, 32)
  const [pid = 0] = children()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal)
  await expect(computeTag('text', cost, 32)).resolves.toHaveLength(32)
  expect(children()).toEqual([pid])
  stop()
  await until(() => children().length === 0)
  await expect(computeTag('text', cost, 32)).rejects.toMatchObject({ code: 'unavailable' })
})
