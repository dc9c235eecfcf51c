import type { Entry } from './messages.ts'
import { createSieve } from './sieve.ts'

/** Seconds, by the issuer's clock, between two looks at what has expired. */
const DROP_EVERY = 10

/** What of a token decides whether it is revoked. */
export interface Subject {
  sid?: string
  sub: string
  iat: number
}

interface Until {
  revokedAt: number
  expiresAt: number
}

/** The revocations that are known. They are looked up at each verification, and their memory is what they are. */
export interface Held {
  add(entry: Entry): void
  /** @param kid of the key that signed the token. */
  revokes(token: Subject, kid: string): boolean
  /** Whether this key is to be believed no more. */
  isWithdrawn(kid: string): boolean
  /** Drops what has expired, but for keys. @param iat the time at the issuer. */
  drop(iat: number): void
  size(): number
}

/**
 * @param clockTolerance seconds. Expired is what has expired by the issuer's clock, and as long again as ours may lag
 * behind: then no token that it means is in time here. Our own clock has no say, since it may be set forth and back.
 */
export function createHeld(clockTolerance: number): Held {
  const sessions = new Map<string, Until>()
  const subjects = new Map<string, Until>()
  const keys = new Map<string, Until>()
  const everybody = new Map<string, Until>()
  const byKind = { sid: sessions, sub: subjects, kid: keys, all: everybody }
  // Not keys: whoever has one of them writes what he likes into `exp`, and the key may be in a cache, or given, for ever.
  const expiring = [sessions, subjects, everybody]
  // Most tokens are of nobody who is listed.
  const sieve = createSieve()
  let dropAt = Number.NEGATIVE_INFINITY

  return {
    add: ({ kind, value, revokedAt, expiresAt }) => {
      const before = byKind[kind].get(value)
      sieve.add(value)
      // Together, two of one name mean what the later of them means, for as long as the longer of them is in force.
      byKind[kind].set(value, {
        revokedAt: Math.max(revokedAt, before?.revokedAt ?? revokedAt),
        expiresAt: Math.max(expiresAt, before?.expiresAt ?? expiresAt),
      })
    },
    revokes: ({ sid, sub, iat }, kid) => {
      if (sid !== undefined && sieve.mayHold(sid) && sessions.has(sid)) return true
      // What was issued in that very second is taken for revoked: its owner has to sign in once more at worst.
      if (sieve.mayHold(sub) && iat <= (subjects.get(sub)?.revokedAt ?? Number.NEGATIVE_INFINITY)) return true
      if (keys.size > 0 && keys.has(kid)) return true
      if (everybody.size === 0) return false
      for (const { revokedAt } of everybody.values()) if (iat <= revokedAt) return true
      return false
    },
    isWithdrawn: (kid) => keys.has(kid),
    drop: (iat) => {
      if (iat < dropAt) return
      dropAt = iat + DROP_EVERY
      for (const map of expiring) {
        for (const [name, { expiresAt }] of map) if (expiresAt + clockTolerance <= iat) map.delete(name)
      }
      sieve.clear()
      for (const map of [sessions, subjects]) for (const name of map.keys()) sieve.add(name)
    },
    size: () => Object.values(byKind).reduce((sum, { size }) => sum + size, 0),
  }
}
