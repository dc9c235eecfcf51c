import { hmac, type KeyList } from '../config/secrets.ts'
import type { Db } from '../db/schema.ts'
import { countFailure, findFailures, forgetFailures } from './failure-queries.ts'

const RULE = { threshold: 5, firstSeconds: 30, longestSeconds: 3600 }

/** Whose failures are counted together. */
export interface Counted {
  /** As it was stated, whether or not there is such a client: who has no account with us must not learn which have. */
  clientId: string
  /** An IPv4 address, or a /64. */
  network: string
  /** When an operator last changed the client; undefined if there is none. With a new secret it begins anew. */
  changedAt: Date | undefined
}

/** `retryAfter` is in whole seconds. */
type Standing = { kind: 'clear' | 'failed' } | { kind: 'held_off'; retryAfter: number }

/** The failures of clients, which hold off guessing without letting a stranger lock a service out. */
export function createBackOff({ db, serverKeys }: { db: Db; serverKeys: KeyList }) {
  // Under the newest entry of CLAVIGER_SECRET alone: while it changes a few guesses more at 256 bits are of no use.
  // The id, which may be any text, stands last: it cannot pass for another part.
  const keyOf = ({ clientId, network, changedAt }: Counted) =>
    hmac(serverKeys[0].identifiers, `client\0${network}\0${changedAt?.getTime() ?? ''}\0${clientId}`)
  return {
    /** Whether attempts are held off, and if not, whether there have been failures since the last success. */
    look: async (now: Date, counted: Counted): Promise<Standing> => {
      const found = await findFailures(db, keyOf(counted))
      if (!found) return { kind: 'clear' }
      const wait = found.blockedUntil.getTime() - now.getTime()
      return wait > 0 ? { kind: 'held_off', retryAfter: Math.ceil(wait / 1000) } : { kind: 'failed' }
    },
    count: (now: Date, counted: Counted): Promise<void> => countFailure(db, now, keyOf(counted), RULE),
    forget: (counted: Counted): Promise<void> => forgetFailures(db, keyOf(counted)),
  }
}
