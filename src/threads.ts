import { availableParallelism } from 'node:os'

/**
 * RSA signatures share libuv's pool of four threads with files and look-ups of host names, which block a thread as long as
 * they wait: every core must find a thread all the same. The size is read when the pool starts, with the first work that it
 * gets, so this module must be the first that a program imports. An operator's own value stays.
 */
process.env.UV_THREADPOOL_SIZE ??= String(Math.min(1024, availableParallelism() + 4))
