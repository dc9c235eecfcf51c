import { randomFillSync } from 'node:crypto'

/** Each request takes a few dozen bytes, and asking the generator for 4,096 costs what asking for 16 does. */
const POOL_BYTES = 4096
const pool = Buffer.alloc(POOL_BYTES)
let taken = POOL_BYTES

/** So many bytes from the generator of node:crypto. @throws RangeError for more than 4,096. */
export function randomBytes(length: number): Buffer {
  if (length > POOL_BYTES) throw new RangeError(`random bytes come ${POOL_BYTES} at a time at most`)
  if (taken + length > POOL_BYTES) {
    randomFillSync(pool)
    taken = 0
  }
  const bytes = Buffer.from(pool.subarray(taken, taken + length))
  // Whoever could read this memory later shall not find in it what was given out.
  pool.fill(0, taken, taken + length)
  taken += length
  return bytes
}
