import { availableParallelism } from 'node:os'

const STATED = process.env.UV_THREADPOOL_SIZE

/** Threads of each of so many processes: one for every core, shared among them, and some that may block. */
function threadsOf(processes: number): number {
  return Math.min(1024, Math.ceil(availableParallelism() / processes) + 4)
}

/** The environment for one of so many processes. */
export function threadsFor(processes: number): { UV_THREADPOOL_SIZE: string } {
  return { UV_THREADPOOL_SIZE: STATED ?? String(threadsOf(processes)) }
}

/**
 * Enlarges libuv's pool of four threads. RSA signatures share it with files and look-ups of host names, which block
 * their thread while they wait, and there must be a thread for every core even so. The size is read when the pool gets
 * its first work, so this module must be the first that a program imports. A value set by the operator is kept.
 */
process.env.UV_THREADPOOL_SIZE = STATED ?? String(threadsOf(1))
