import type { Clock } from '../clock.ts'
import { hmac, type KeyList, type ServerKeys } from '../config/secrets.ts'

/** How long a nonce is handed out, in milliseconds. It is good for twice that. */
const WINDOW = 30_000
/** The clock of another replica may be ahead by so much, and its next nonce come back to this one. */
const AHEAD = 1000
const BYTES = 16

export interface Nonces {
  /** The nonce for the next proof. */
  current(): string
  /** Whether it is one of the last minute, made by this server or by any other replica. */
  judge(nonce: string): boolean
}

/**
 * Nonces (RFC 9449 §8) are HMACs of the time, in windows of half a minute. So replicas need no table of them, and a proof
 * that has one was made after it: within the last minute.
 */
export function createNonces(serverKeys: KeyList, clock: Clock): Nonces {
  const [newest] = serverKeys
  const windowAt = (time: number): number => Math.floor(time / WINDOW)
  /** By window: the nonces under each of the keys. */
  const made = new Map<number, string[]>()
  const noncesOf = (window: number): string[] => {
    const known = made.get(window)
    if (known) return known
    const nonces = serverKeys.map((keys) => nonceOf(keys, window))
    made.set(window, nonces)
    // Those of a few windows, whichever way the clock is set.
    if (made.size > 4) made.delete(made.keys().next().value ?? window)
    return nonces
  }
  return {
    current: () => noncesOf(windowAt(clock().getTime()))[0] ?? nonceOf(newest, windowAt(clock().getTime())),
    judge: (nonce) => {
      const now = clock().getTime()
      // Whoever asks is given the current one, so comparing needs no constant time.
      const windows = [windowAt(now), windowAt(now) - 1, windowAt(now + AHEAD)]
      return windows.some((window) => noncesOf(window).includes(nonce))
    },
  }
}

function nonceOf({ dpopNonce }: ServerKeys, window: number): string {
  const index = Buffer.alloc(8)
  index.writeBigUInt64BE(BigInt(window))
  return hmac(dpopNonce, 'dpop-nonce', index).toString('base64url', 0, BYTES)
}
