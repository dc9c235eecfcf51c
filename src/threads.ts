import { availableParallelism } from 'node:os'

/**
 * Password hashes, RSA signatures and look-ups of host names share libuv's pool of four threads: four hashes at a time
 * would make every refresh wait for a sign-in. The size is read when the pool starts, with the first work that it gets,
 * so this module must be the first that a program imports. An operator's own value stays.
 */
const cores = availableParallelism()
const hashes = Number(process.env.HASH_CONCURRENCY) || cores
process.env.UV_THREADPOOL_SIZE ??= String(Math.min(1024, hashes + 2 * cores + 2))
