import { sql } from 'kysely'
import type { AuditTable, Db } from '../db/schema.ts'

/** One row of the trail. */
export type AuditRow = Omit<AuditTable, 'details' | 'seq'> & { details: Record<string, unknown> }

/** Written out, because the query builder takes longer to put it together than PostgreSQL to run it. */
export function insertion(row: AuditRow) {
  return sql`
    INSERT INTO audit (id, at, type, outcome, reason, actor, user_id, family_id, client_id, request_id, address, user_agent,
      details)
    VALUES (${row.id}, ${row.at}, ${row.type}, ${row.outcome}, ${row.reason}, ${row.actor}, ${row.user_id},
      ${row.family_id}, ${row.client_id}, ${row.request_id}, ${row.address}, ${row.user_agent},
      ${JSON.stringify(row.details)})`
}

/** What the trail says of one family, oldest first. */
export async function historyOfFamily(db: Db, familyId: string, limit = 1000): Promise<AuditRow[]> {
  return await db
    .selectFrom('audit')
    .select(['id', 'at', 'type', 'outcome', 'reason', 'actor', 'user_id', 'family_id', 'client_id', 'request_id'])
    .select(['address', 'user_agent', 'details'])
    .where('family_id', '=', familyId)
    .orderBy('at')
    .orderBy('seq')
    .limit(limit)
    .execute()
}

/** Deletes a batch of events from before `before`. @returns how many. */
export async function deleteOld(db: Db, before: Date, batch: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM audit WHERE id IN (
      SELECT id FROM audit WHERE at < ${before} ORDER BY at LIMIT ${batch} FOR UPDATE SKIP LOCKED
    )`.execute(db)
  return Number(numAffectedRows ?? 0n)
}
