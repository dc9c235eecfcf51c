import { availableParallelism } from 'node:os'

/**
 * Enlarges libuv's pool of four threads. RSA signatures share it with files and look-ups of host names, which block
 * their thread while they wait, and there must be a thread for every core even so. The size is read when the pool gets
 * its first work, so this module must be the first that a program imports. A value set by the operator is kept.
 */
process.env.UV_THREADPOOL_SIZE ??= String(Math.min(1024, availableParallelism() + 4))
