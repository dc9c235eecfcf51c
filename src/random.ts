import { randomFillSync } from 'node:crypto'

/** A request needs a few dozen bytes, and asking the generator for 4,096 costs as much as asking for 16. */
const POOL_BYTES = 4096
const pool = Buffer.alloc(POOL_BYTES)
let taken = POOL_BYTES

/** Random bytes from node:crypto. @throws RangeError for more than 4,096. */
export function randomBytes(length: number): Buffer {
  if (length > POOL_BYTES) throw new RangeError(`random bytes come ${POOL_BYTES} at a time at most`)
  if (taken + length > POOL_BYTES) {
    randomFillSync(pool)
    taken = 0
  }
  const bytes = Buffer.from(pool.subarray(taken, taken + length))
  // Erased, so that somebody who reads this memory later, as in a core dump, does not find secrets that were handed
  // out.
  pool.fill(0, taken, taken + length)
  taken += length
  return bytes
}
