import type { Keyring } from '../keys/keyring.ts'
import type { FeedConfig } from './documents.ts'
import { type Entry, formatPosition, type Position } from './entry.ts'
import type { Held } from './held.ts'
import { securityEvent } from './security-event.ts'

/** An event of the stream, as it is sent. */
export interface Frame {
  position: Position
  bytes: Buffer
}

/** The newest revocations as events, each signed once for all readers. */
export function createFrames({ config, keyring }: { config: FeedConfig; keyring: Keyring }, held: Held) {
  /** By entry: those of another epoch are others. */
  let signed = new WeakMap<Entry, Promise<Frame>>()
  let signedSince = held.withdrawals()

  const sign = async (entry: Entry): Promise<Frame> => {
    const { epoch } = held.position()
    const position = { epoch, seq: entry.seq }
    const claims = securityEvent(config, entry, { epoch, asOf: held.asOf() ?? entry.revokedAt })
    return frameOf('revocation', position, await keyring.sign('secevent+jwt', claims))
  }

  return {
    /** Those with a larger number, in order. */
    after: (seq: number): Promise<Frame[]> => {
      // They may have been signed by the key that is withdrawn, and nobody believes that one any more.
      if (held.withdrawals() !== signedSince) {
        signed = new WeakMap()
        signedSince = held.withdrawals()
      }
      const due = held.recent().filter((entry) => entry.seq > seq)
      return Promise.all(
        due.map((entry) => {
          const known = signed.get(entry) ?? sign(entry)
          signed.set(entry, known)
          known.catch(() => signed.delete(entry))
          return known
        }),
      )
    },
    heartbeat: (position: Position, data: string): Frame => frameOf('heartbeat', position, data),
    /** Without an id: a reader that breaks off before it has read the list must be told again. */
    reset: ({ epoch, seq }: Position): Buffer =>
      Buffer.from(`event: reset\ndata: ${JSON.stringify({ epoch, seq })}\n\n`),
  }
}

function frameOf(event: string, position: Position, data: string): Frame {
  return { position, bytes: Buffer.from(`id: ${formatPosition(position)}\nevent: ${event}\ndata: ${data}\n\n`) }
}
