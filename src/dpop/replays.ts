import { hash } from 'node:crypto'
import { createSeen, REMEMBERED, type WasSeen } from '../seen.ts'

export interface Replays {
  /** Remembers a proof. @returns whether it was here before. */
  isReplay(proof: { jkt: string; jti: string }): boolean | Promise<boolean>
}

/**
 * Remembers proofs (RFC 9449 §11.1), in the memory of this process, or of all processes of a server. Where it is full the oldest are
 * forgotten: if new ones were refused instead, whoever has enough addresses could lock everybody else out.
 */
export function createReplays(wasSeen: WasSeen = createSeen(REMEMBERED)): Replays {
  return {
    // Hashed, because the sender chooses how long a `jti` is. A thumbprint always has 43 characters.
    isReplay: ({ jkt, jti }) => wasSeen(hash('sha256', jkt + jti, 'base64url')),
  }
}
