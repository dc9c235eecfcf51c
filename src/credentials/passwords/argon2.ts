import argon2 from 'argon2'
import type { Foreign } from './foreign.ts'
import { computeForeignTag } from './foreign-tag.ts'

/** The cost parameters of a computation, and its salt. */
export interface Cost {
  memoryKib: number
  passes: number
  lanes: number
  salt: Buffer
}

/**
 * The tag for a text: of argon2id (RFC 9106 §3.1), or of the function of a hash that another system made. `length` in
 * bytes.
 */
export type ComputeTag = (text: string, cost: Cost | Foreign, length: number) => Promise<Buffer>

/** Computes in this process, on libuv's thread pool, which also makes signatures. */
export const computeHere: ComputeTag = (text, cost, length) => {
  if ('scheme' in cost) return computeForeignTag(text, cost)
  return argon2.hash(text, {
    type: argon2.argon2id,
    version: 0x13,
    memoryCost: cost.memoryKib,
    timeCost: cost.passes,
    parallelism: cost.lanes,
    salt: cost.salt,
    hashLength: length,
    raw: true,
  })
}
