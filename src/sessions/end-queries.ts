import { sql } from 'kysely'
import type { EndCause } from '../audit/events.ts'
import type { Tx } from '../db/schema.ts'
import { endableAt } from './live-queries.ts'

// None of these touches a family that has ended, or that has come to its absolute end.

/** Ends one family. @returns whether this call ended it. */
export async function endFamily(tx: Tx, id: string, now: Date, cause: EndCause): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('families as f')
    .set({ ended_at: now, end_cause: cause })
    .where('f.id', '=', id)
    .where(endableAt(now))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Ends the families of a user except one. @returns the ids of those ended. */
export async function endFamiliesOf(
  tx: Tx,
  now: Date,
  { userId, cause, except }: { userId: string; cause: EndCause; except: string | undefined },
): Promise<string[]> {
  const rows = await tx
    .updateTable('families as f')
    .set({ ended_at: now, end_cause: cause })
    .where('f.user_id', '=', userId)
    .where(endableAt(now))
    .$if(except !== undefined, (qb) => qb.where('f.id', '!=', except as string))
    .returning('f.id')
    .execute()
  return rows.map((row) => row.id)
}

/**
 * Ends the families of all users that began at or before a moment: those among the next `limit` in order of id, so that
 * no batch reads again what an earlier one has ended.
 * @returns those ended, and the id to go on after; undefined when there are no more. `usedAt` is when the last token was issued:
 * null if that is not known, because it was issued again to a retry.
 */
export async function endFamiliesBefore(
  tx: Tx,
  now: Date,
  { before, cause, after, limit }: { before: Date; cause: EndCause; after: string; limit: number },
): Promise<{ ended: { id: string; userId: string; usedAt: Date | null }[]; last: string | undefined }> {
  const looked = await tx
    .selectFrom('families')
    .select('id')
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  const { rows: ended } = await sql<{ id: string; userId: string; usedAt: Date | null }>`
    UPDATE families AS f SET ended_at = ${now}, end_cause = ${cause}
    WHERE f.id = ANY(${looked.map(({ id }) => id)}::uuid[]) AND ${endableAt(now)} AND f.created_at <= ${before}
    RETURNING f.id, f.user_id AS "userId", CASE WHEN NOT f.retried THEN f.rotated_at END AS "usedAt"`.execute(tx)
  return { ended, last: looked.length < limit ? undefined : looked.at(-1)?.id }
}

/** The next families of a client that can be ended, in order of id. */
export async function endableOfClient(
  tx: Tx,
  now: Date,
  { clientId, after, limit }: { clientId: string; after: string; limit: number },
): Promise<{ id: string; userId: string }[]> {
  return await tx
    .selectFrom('families as f')
    .select(['f.id', 'f.user_id as userId'])
    .where('f.client_id', '=', clientId)
    .where('f.id', '>', after)
    .where(endableAt(now))
    .orderBy('f.id')
    .limit(limit)
    .execute()
}
