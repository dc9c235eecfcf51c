import { type ChildProcess, fork } from 'node:child_process'
import { Problem } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { ComputeTag, Cost } from './argon2.ts'
import type { Foreign } from './foreign.ts'
import type { Reply, Request } from './hash-child.ts'

interface HashProcess {
  computeTag: ComputeTag
  stop(): void
}

interface Waiting {
  resolve(tag: Buffer): void
  reject(error: Error): void
  /** Fires when an answer can no longer be expected. */
  alarm: NodeJS.Timeout
}

/** How long a process may take to start on a busy machine, given its low priority. */
const PATIENCE_MS = 5000
/** A tenth of what a slow core computes, so that a process on a busy machine is not taken for one that hangs. */
const KIB_PASSES_PER_MS = 100
/** The same for the most expensive hash of another system that is accepted. */
const FOREIGN_MS = 20_000
/**
 * For glibc, of which only one heap can ask for huge pages: argon2 walks its memory at random, and with pages of 4 KiB a twelfth of
 * its time goes into finding them. What is freed stays for the next hash.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '1',
  GLIBC_TUNABLES: [
    'glibc.malloc.hugetlb=1',
    // The most that it accepts. What is larger is mapped for each hash, and given back.
    `glibc.malloc.mmap_threshold=${32 * 2 ** 20}`,
    `glibc.malloc.trim_threshold=${2 ** 40}`,
  ].join(':'),
}

/**
 * Computes argon2 in a process of its own at low priority (hash-child.ts), so that hashes use whatever time refreshes
 * leave on the cores, and no more. In the server's process they would share libuv's thread pool with signatures, and
 * threads of the pool cannot be given a priority. The process starts with the first computation. If it ends, its
 * computations are refused with `unavailable`, and the next one starts another process. One that hangs is killed,
 * because requests would wait for it and fill the queue until nobody could sign in.
 * @param threads computations at a time.
 * @param env the server's environment, of which the process gets only what Node and argon2's binary need.
 */
export function createHashProcess({
  threads,
  env,
  log,
  patienceMs = PATIENCE_MS,
}: { log: Log } & {
  threads: number
  env: Readonly<Record<string, string | undefined>>
  patienceMs?: number
}): HashProcess {
  // That process sees passwords in the clear, but it gets none of our settings and secrets.
  const { PREBUILDS_ONLY, NODE_COMPILE_CACHE } = env
  const childEnv = { PREBUILDS_ONLY, NODE_COMPILE_CACHE, UV_THREADPOOL_SIZE: String(threads), ...ALLOCATOR }
  let child: ChildProcess | undefined
  let stopped = false
  let lastId = 0
  const waiting = new Map<number, Waiting>()

  const settle = (reply: Reply): void => {
    const caller = waiting.get(reply.id)
    waiting.delete(reply.id)
    clearTimeout(caller?.alarm)
    if (reply.kind === 'computed') caller?.resolve(Buffer.from(reply.tag))
    else caller?.reject(new Error(`argon2 failed: ${reply.error}`))
  }

  const start = (): ChildProcess => {
    const started = fork(new URL('./hash-child.ts', import.meta.url), {
      env: childEnv,
      execArgv: ['--max-semi-space-size=1'],
      serialization: 'advanced',
    })
    let gone = false
    const lost = (error: Error): void => {
      if (gone) return
      gone = true
      if (child === started) child = undefined
      if (!stopped) log.error({ err: error }, 'the process that hashes passwords ended')
      for (const caller of waiting.values()) {
        clearTimeout(caller.alarm)
        caller.reject(unavailable())
      }
      waiting.clear()
    }
    started.on('message', (reply) => settle(reply as Reply))
    started.on('error', lost)
    started.on('exit', (code, signal) => lost(new Error(`it ended with ${signal ?? code}`)))
    // The process must not keep a server alive that has nothing else to do.
    started.unref()
    started.channel?.unref()
    return started
  }

  return {
    computeTag: (text, cost, length) =>
      new Promise((resolve, reject) => {
        if (stopped) return reject(unavailable())
        child ??= start()
        const asked = child
        // SIGKILL also ends a process that is stopped. Its `exit` event then rejects all that wait.
        const end = () => asked.kill('SIGKILL')
        const alarm = setTimeout(end, patienceMs + longestMs(cost)).unref()
        const id = ++lastId
        waiting.set(id, { resolve, reject, alarm })
        const request: Request = { id, text, cost, length }
        // If sending fails, the process has just ended, and its `exit` event rejects all that wait.
        child.send(request, () => {})
      }),
    stop: () => {
      stopped = true
      if (child?.connected) child.disconnect()
    },
  }
}

function longestMs(cost: Cost | Foreign): number {
  return 'scheme' in cost ? FOREIGN_MS : (cost.memoryKib * cost.passes) / KIB_PASSES_PER_MS
}

function unavailable(): Problem {
  return new Problem('unavailable', { retryAfter: 1, reason: 'the process that hashes passwords ended' })
}
