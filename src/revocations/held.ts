import { SECOND } from '../durations.ts'
import { claimsOf, type Entry, type Position } from './entry.ts'

/** A revocation as the list has it. */
export interface Listed {
  seq: number
  expiresAt: Date
  /** Of ids and numbers alone: a byte for each character. */
  json: string
}

/** The newest, which the stream can send again. A reader that is further behind reads the list. */
export const RECENT = 256

/** What one server knows of the feed: everything that has been numbered and has not expired. */
export interface Held {
  position(): Position
  /** Everything that was revoked until then has been read. Undefined until that was so for the first time. */
  asOf(): Date | undefined
  /** What ends something, in order. */
  listed(): readonly Listed[]
  /** The newest, of every kind, in order. */
  recent(): readonly Entry[]
  /** How often a signing key was withdrawn: what was signed before may have been signed by it. */
  withdrawals(): number
  /** Holds these instead: numbers mean something else from here on. @param lastSeq the last number that was given out. */
  begin(epoch: string, entries: readonly Entry[], lastSeq: number): void
  /** Holds these as well. */
  add(entries: readonly Entry[], lastSeq: number): void
  expire(now: Date): void
  reach(asOf: Date): void
}

export function createHeld(): Held {
  let position: Position = { epoch: '', seq: 0 }
  let asOf: Date | undefined
  let listed: Listed[] = []
  let recent: Entry[] = []
  let withdrawals = 0
  let expireAgainAt = 0
  const add = (entries: readonly Entry[], lastSeq: number) => {
    for (const entry of entries) {
      const claims = claimsOf(entry)
      if (claims) listed.push({ seq: entry.seq, expiresAt: entry.expiresAt, json: JSON.stringify(claims) })
      if (entry.kind === 'key') withdrawals++
    }
    if (entries.length > 0) recent = [...recent, ...entries.slice(-RECENT)].slice(-RECENT)
    position = { ...position, seq: lastSeq }
  }
  return {
    position: () => position,
    asOf: () => asOf,
    listed: () => listed,
    recent: () => recent,
    withdrawals: () => withdrawals,
    begin: (epoch, entries, lastSeq) => {
      position = { epoch, seq: 0 }
      listed = []
      recent = []
      add(entries, lastSeq)
    },
    add,
    expire: (now) => {
      // All are looked at, because they do not expire in the order of their numbers; so not at every look of the feed.
      if (now.getTime() < expireAgainAt) return
      expireAgainAt = now.getTime() + SECOND
      listed = listed.filter(({ expiresAt }) => expiresAt > now)
    },
    reach: (moment) => {
      asOf = moment
    },
  }
}
