import { hash } from 'node:crypto'

/** The last proofs that are remembered in any case: an instance of this server holds up to twice as many, in some 15 MB. */
const LEAST = 65_536

export interface Replays {
  /** Remembers a proof. @returns whether it was here before. */
  isReplay(proof: { jkt: string; jti: string }): boolean
}

/**
 * Remembers proofs (RFC 9449 §11.1), in the memory of this process alone. Where it is full the oldest are forgotten: if new ones
 * were refused instead, whoever has enough addresses could lock everybody else out.
 *
 * In two halves, of which the older is dropped as a whole. Taking the first of a Map again and again makes V8 pass over
 * all that were deleted before it, for 60 ms at times.
 */
export function createReplays(least = LEAST): Replays {
  let young = new Set<string>()
  let old = new Set<string>()
  return {
    isReplay: ({ jkt, jti }) => {
      // Hashed, because the sender chooses how long a `jti` is. A thumbprint always has 43 characters.
      const key = hash('sha256', jkt + jti, 'base64url')
      if (young.has(key) || old.has(key)) return true
      if (young.size >= least) {
        old = young
        young = new Set()
      }
      young.add(key)
      return false
    },
  }
}
