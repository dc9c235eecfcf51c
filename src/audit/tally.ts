import { createHash } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import { MINUTE } from '../durations.ts'
import type { Operation } from '../operation.ts'
import { rowOf } from './audit.ts'
import type { TalliedEvent } from './events.ts'
import { countAgain, insertOrCount } from './queries.ts'

/** The most events remembered. Any further event costs a statement instead of a number in memory. */
const MOST = 10_000

/**
 * Records events that anybody can cause any number of times: one row for each kind of event, cause, subject and minute,
 * with `details.count`. Otherwise an attacker with a single dead token could fill the table and keep the database busy.
 */
export interface Tally {
  /**
   * Resolves when a row records the event. Must not be called inside a transaction, because it takes a connection of its
   * own.
   */
  add(operation: Operation, event: TalliedEvent): Promise<void>
  /** Writes the outstanding counts, in one statement. If that fails, they stay outstanding. */
  flush(now: Date): Promise<void>
}

interface Entry {
  minute: number
  /** Resolves when the row is written; rejects if it could not be. */
  row: Promise<void>
  written: boolean
  /** How often the event has recurred since the counts were last written. */
  again: number
}

/**
 * The first event of a minute is written before its request is answered. Later ones only raise a number in memory, so
 * that a flood of them costs no connection and no lock. The trail lags behind until the next `flush`.
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
      // The next event tries again.
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
      const write = async () => void (await insertOrCount(deps.db, { ...rowOf(operation, event), id, details }))
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
 * The id of the row for an event and a minute: events that say the same about the same subject share it. It is derived,
 * so that replicas agree on the row without asking each other (RFC 9562 §5.8). The address counts only if no session is
 * named: a token that is tried from many addresses is still one token.
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
