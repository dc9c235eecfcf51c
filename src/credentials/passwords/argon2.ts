import argon2 from 'argon2'

/** The cost parameters of a computation, and its salt. */
export interface Cost {
  memoryKib: number
  passes: number
  lanes: number
  salt: Buffer
}

/** The tag of argon2id (RFC 9106 §3.1) for a text; `length` in bytes. */
export type ComputeTag = (text: string, cost: Cost, length: number) => Promise<Buffer>

/** Computes in this process, on libuv's thread pool, which also makes signatures. */
export const computeHere: ComputeTag = (text, { memoryKib, passes, lanes, salt }, length) =>
  argon2.hash(text, {
    type: argon2.argon2id,
    version: 0x13,
    memoryCost: memoryKib,
    timeCost: passes,
    parallelism: lanes,
    salt,
    hashLength: length,
    raw: true,
  })
