import { sql } from 'kysely'
import { builtOnce, type Parameter } from '../db/built-once.ts'
import type { AuditTable, Db } from '../db/schema.ts'

/** One row of the trail. */
export type AuditRow = Omit<AuditTable, 'details' | 'seq'> & { details: Record<string, unknown> }

/** SQL that writes an event, as part of a statement that is built once. @param read finds the row among its values. */
export function insertion<Values>(parameter: Parameter<Values>, read: (values: Values) => AuditRow) {
  const column = (name: keyof AuditRow) => parameter((values) => read(values)[name])
  return sql`
    INSERT INTO audit (id, at, type, outcome, reason, actor, user_id, family_id, client_id, request_id, address, user_agent,
      details)
    VALUES (${column('id')}, ${column('at')}, ${column('type')}, ${column('outcome')}, ${column('reason')},
      ${column('actor')}, ${column('user_id')}, ${column('family_id')}, ${column('client_id')}, ${column('request_id')},
      ${column('address')}, ${column('user_agent')}, ${parameter((values) => JSON.stringify(read(values).details))})`
}

export const insertEvent = builtOnce<AuditRow, unknown>((parameter) => insertion(parameter, (row) => row))

/** Writes an event whose id other replicas derive too. If one of them was first, raises the count of its row by one. */
export const insertOrCount = builtOnce<AuditRow, unknown>(
  (parameter) => sql`
    WITH written AS (${insertion(parameter, (row) => row)} ON CONFLICT (id) DO NOTHING RETURNING id)
    SELECT audit_count_again(${parameter(({ id }) => id)}, 1) WHERE NOT EXISTS (SELECT FROM written)`,
)

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
