import { sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { SealedPayload } from './payload.ts'

export async function insertDelivery(
  tx: Tx,
  now: Date,
  { id, kind, sealed, sealedBy }: SealedPayload & { id: string; kind: string },
): Promise<void> {
  await sql`
    INSERT INTO outbox (id, kind, sealed_payload, sealed_by, created_at, due_at)
    VALUES (${id}, ${kind}, ${sealed}, ${sealedBy}, ${now}, ${now})`.execute(tx)
}

/** A delivery that an attempt has been begun for. */
export interface Taken extends SealedPayload {
  id: string
  kind: string
  enqueuedAt: Date
  /** This one included. */
  attempts: number
}

/** Of one kind, how many may be taken. */
export interface Room {
  kind: string
  most: number
}

/**
 * Takes what is due, longest due first; nobody else takes the same until `until`. Passes over rows that another replica is
 * taking at this moment, and kinds that only a newer version knows.
 * @returns also since when the one that has waited longest has been due, before this.
 */
export async function takeDue(
  db: Db,
  now: Date,
  { rooms, until }: { rooms: readonly Room[]; until: Date },
): Promise<{ taken: Taken[]; oldestDue: Date | null }> {
  const { rows } = await sql<(Taken | { id: null }) & { oldestDue: Date | null }>`
    WITH room AS (
      SELECT * FROM unnest(${rooms.map(({ kind }) => kind)}::text[], ${rooms.map(({ most }) => most)}::int[]) AS r (kind, most)
    ), due AS MATERIALIZED (
      SELECT d.id FROM room, LATERAL (
        SELECT id FROM outbox WHERE kind = room.kind AND dead_at IS NULL AND due_at <= ${now}
        ORDER BY due_at LIMIT room.most FOR UPDATE SKIP LOCKED
      ) AS d
    ), taken AS (
      UPDATE outbox AS o SET attempts = o.attempts + 1, taken_at = ${now}, due_at = ${until}
      FROM due WHERE o.id = due.id
      RETURNING o.id, o.kind, o.sealed_payload, o.sealed_by, o.created_at, o.attempts
    ), waiting AS (
      SELECT min(o.due_at) AS since FROM room, LATERAL (
        SELECT due_at FROM outbox WHERE kind = room.kind AND dead_at IS NULL AND due_at <= ${now} ORDER BY due_at LIMIT 1
      ) AS o
    )
    SELECT taken.id, taken.kind, taken.sealed_payload AS sealed, taken.sealed_by AS "sealedBy",
      taken.created_at AS "enqueuedAt", taken.attempts, waiting.since AS "oldestDue"
    FROM waiting LEFT JOIN taken ON true ORDER BY taken.id`.execute(db)
  const [{ oldestDue } = { oldestDue: null }] = rows
  return { taken: rows.flatMap((row) => (row.id === null ? [] : [row])), oldestDue }
}

/** Which attempt of which delivery. A later one makes an earlier one count for nothing. */
export type AttemptKey = Pick<Taken, 'id' | 'attempts'>

export async function deleteDelivered(db: Db, { id, attempts }: AttemptKey): Promise<void> {
  await db.deleteFrom('outbox').where('id', '=', id).where('attempts', '=', attempts).execute()
}

export async function postpone(
  db: Db,
  { id, attempts }: AttemptKey,
  { dueAt, failure }: { dueAt: Date; failure: string },
): Promise<void> {
  await db
    .updateTable('outbox')
    .set({ taken_at: null, due_at: dueAt, last_failure: failure })
    .where('id', '=', id)
    .where('attempts', '=', attempts)
    .execute()
}

/** @returns whether it was still this attempt’s to bury. */
export async function bury(tx: Tx, now: Date, { id, attempts }: AttemptKey, failure: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('outbox')
    .set({ taken_at: null, dead_at: now, last_failure: failure })
    .where('id', '=', id)
    .where('attempts', '=', attempts)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** @returns how many. */
export async function deleteDead(db: Db, before: Date, batch: number): Promise<number> {
  return await deleteBatch(db, 'outbox', { key: ['id'], where: sql`dead_at < ${before}`, limit: batch })
}
