import type { WasSeen } from '../seen.ts'
import type { Config } from './config.ts'

/** A process of a server: the only one, or one of several that serve together. */
export interface Part {
  /** From 0 on; a process that takes another's place has its number. */
  slot: number
  of: number
  /** Whether it does now what is done once for all of them. */
  leads: () => boolean
  /** What remembers proofs of possession for all of them; by default each does. */
  wasSeen?: WasSeen | undefined
}

export const ALONE: Part = { slot: 0, of: 1, leads: () => true }

/**
 * The settings of one process. Passwords are hashed for all of them together as the settings say: each has its share of
 * the places, and one at least. Everything else is of each process.
 */
export function shareOf(config: Config, { slot, of }: Pick<Part, 'slot' | 'of'>): Config {
  const share = (whole: number) => Math.floor(whole / of) + (slot < whole % of ? 1 : 0)
  return {
    ...config,
    HASH_CONCURRENCY: Math.max(1, share(config.HASH_CONCURRENCY)),
    HASH_QUEUE: share(config.HASH_QUEUE),
  }
}
