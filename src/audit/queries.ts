import { sql } from 'kysely'
import type { AuditTable, Db } from '../db/schema.ts'

/** One row of the trail. */
export type AuditRow = Omit<AuditTable, 'details' | 'seq'> & { details: Record<string, unknown> }

/** Written out, because building it takes the query builder longer than running it takes PostgreSQL. */
export function insertion(row: AuditRow) {
  return sql`
    INSERT INTO audit (id, at, type, outcome, reason, actor, user_id, family_id, client_id, request_id, address, user_agent,
      details)
    VALUES (${row.id}, ${row.at}, ${row.type}, ${row.outcome}, ${row.reason}, ${row.actor}, ${row.user_id},
      ${row.family_id}, ${row.client_id}, ${row.request_id}, ${row.address}, ${row.user_agent},
      ${JSON.stringify(row.details)})`
}

/** Writes an event whose id other replicas derive too. If one of them was first, raises the count of its row by one. */
export async function insertOrCount(db: Db, row: AuditRow): Promise<void> {
  await sql`
    WITH written AS (${insertion(row)} ON CONFLICT (id) DO NOTHING RETURNING id)
    SELECT audit_count_again(${row.id}, 1) WHERE NOT EXISTS (SELECT FROM written)`.execute(db)
}

/** Raises the counts of events, in order of their ids, so that replicas that do so at the same time do not deadlock. */
export async function countAgain(db: Db, events: readonly { id: string; times: number }[]): Promise<void> {
  if (events.length === 0) return
  const ordered = events.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const [ids, times] = [ordered.map(({ id }) => id), ordered.map((event) => event.times)]
  await sql`SELECT audit_count_again(id, times) FROM unnest(${ids}::uuid[], ${times}::int[]) AS again (id, times)`.execute(
    db,
  )
}

/** An event as it is read back. */
export type PastEvent = Awaited<ReturnType<typeof selectOfFamily>>[number]

/** The events about one family, oldest first. */
export async function selectOfFamily(db: Db, familyId: string, limit: number) {
  return await db
    .selectFrom('audit')
    .where('family_id', '=', familyId)
    .select(['at', 'type', 'outcome', 'reason', 'actor', 'user_id as userId', 'address', 'user_agent as userAgent'])
    .select('details')
    .orderBy('at')
    .orderBy('seq')
    .limit(limit)
    .execute()
}

/** Deletes a batch of events older than `before`, but none of the last 30 days. @returns how many. */
export async function deleteOld(db: Db, before: Date, batch: number): Promise<number> {
  const { rows } = await sql<{ deleted: number }>`SELECT audit_delete_old(${before}, ${batch}) AS deleted`.execute(db)
  return rows[0]?.deleted ?? 0
}
