import { type ChildProcess, fork } from 'node:child_process'
import { Problem } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { ComputeTag } from './argon2.ts'
import type { Reply, Request } from './hash-child.ts'

interface HashProcess {
  computeTag: ComputeTag
  stop(): void
}

interface Waiting {
  resolve(tag: Buffer): void
  reject(error: Error): void
  /** Goes off when no answer is to be expected any more. */
  alarm: NodeJS.Timeout
}

/** For a process that has to start, on a machine where everything else goes first. */
const PATIENCE_MS = 5000
/** A tenth of what a slow core computes, so that a busy one is not taken for one that stands still. */
const KIB_PASSES_PER_MS = 100

/**
 * Computes argon2 in a process of its own at low priority (hash-child.ts): hashes take every moment of every core that
 * refreshes leave, and none that they want. In one process they would share libuv's pool with signatures, and no thread of
 * it can be told to give way. The process starts with the first computation; if it ends, what it was computing is refused
 * with `unavailable`, and the next computation starts another. One that does not answer is ended: people would wait for it, each
 * with a place in the queue, until nobody can sign in.
 * @param threads computations at a time.
 * @param env the server's, of which it gets what concerns Node and argon2's binary.
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
  // Passwords in the clear pass through that process, and nothing else of ours is there: no setting, no secret.
  const { PREBUILDS_ONLY, NODE_COMPILE_CACHE } = env
  const childEnv = { PREBUILDS_ONLY, NODE_COMPILE_CACHE, UV_THREADPOOL_SIZE: String(threads) }
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
    // It must not keep a server alive that has nothing else to do.
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
        // Not a signal that it may handle: it may be one that is stopped. Its `exit` event refuses all that wait.
        const end = () => asked.kill('SIGKILL')
        const alarm = setTimeout(end, patienceMs + (cost.memoryKib * cost.passes) / KIB_PASSES_PER_MS).unref()
        const id = ++lastId
        waiting.set(id, { resolve, reject, alarm })
        const request: Request = { id, text, cost, length }
        // An error here is the process that has just ended: its `exit` event refuses all that wait.
        child.send(request, () => {})
      }),
    stop: () => {
      stopped = true
      if (child?.connected) child.disconnect()
    },
  }
}

function unavailable(): Problem {
  return new Problem('unavailable', { retryAfter: 1, reason: 'the process that hashes passwords ended' })
}
