import { createHash } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { rowOf } from './audit.ts'
import type { TalliedEvent } from './events.ts'
import { countAgain, insertOrCount } from './queries.ts'

const MINUTE = 60_000
/** Events remembered at most. One more is written as it comes: it costs a statement instead of a number in memory. */
const MOST = 10_000

/**
 * Writes what anybody can bring about any number of times: one row for each kind of event, cause, subject and minute, with
 * `details.count`. Otherwise whoever holds one dead token could fill the table and keep the database busy.
 */
export interface Tally {
  /**
   * Resolves when there is a row that speaks of the event. Not to be called inside a transaction: it asks for a connection
   * of its own.
   */
  add(operation: Operation, event: TalliedEvent): Promise<void>
  /** Writes the counts that are outstanding, in one statement. If that fails, they stay outstanding. */
  flush(now: Date): Promise<void>
}

interface Entry {
  minute: number
  /** The row; rejects where it could not be written. */
  row: Promise<void>
  written: boolean
  /** How often the event came again since counts were last written. */
  again: number
}

/**
 * The first event of a minute is written before its request is answered. Those after it raise a number in memory, so that
 * a flood of them costs no connection and no lock; the trail lags behind until the next `flush`.
 */
export function createTally(deps: { db: Db }): Tally {
  const entries = new Map<string, Entry>()

  const begin = (id: string, minute: number, write: () => Promise<void>): Entry => {
    const entry: Entry = { minute, row: write(), written: false, again: 0 }
    entries.set(id, entry)
    entry.row.then(
      () => {
        entry.written = true
      },
      // Whoever comes next tries again.
      () => entries.delete(id),
    )
    return entry
  }

  return {
    add: async (operation, event) => {
      const minute = Math.floor(operation.now.getTime() / MINUTE)
      const id = idOf(minute, operation, event)
      const known = entries.get(id)
      if (known) {
        known.again++
        return await known.row
      }
      const details = { ...event.details, count: 1 }
      const write = () => insertOrCount(deps.db, { ...rowOf(operation, event), id, details })
      await (entries.size < MOST ? begin(id, minute, write).row : write())
    },
    flush: async (now) => {
      const minute = Math.floor(now.getTime() / MINUTE)
      const due = [...entries].filter(([, entry]) => entry.written && entry.again > 0)
      const times = due.map(([id, entry]) => ({ id, times: entry.again }))
      for (const [, entry] of due) entry.again = 0
      try {
        await countAgain(deps.db, times)
      } catch (error) {
        for (const [index, [, entry]] of due.entries()) entry.again += times[index]?.times ?? 0
        throw error
      }
      for (const [id, entry] of entries) {
        if (entry.written && entry.again === 0 && entry.minute < minute) entries.delete(id)
      }
    },
  }
}

/**
 * What makes two events of a minute one row: that they say the same of the same subject. Derived, so that replicas agree
 * on the row without asking each other (RFC 9562 §5.8). The address is part of it only where no session is named: a token
 * that is tried from many addresses is still one token.
 */
function idOf(minute: number, { actor, facts }: Operation, event: TalliedEvent): string {
  const { type, outcome, reason, userId, familyId, clientId, details } = event
  const subject = familyId ?? [userId, details?.identifier, facts.address]
  const digest = createHash('sha256').update(JSON.stringify([minute, type, outcome, reason, actor, clientId, subject]))
  const bytes = digest.digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
