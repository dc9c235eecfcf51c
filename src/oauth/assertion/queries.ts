import { sql } from 'kysely'
import { deleteBatch } from '../../db/delete-batch.ts'
import type { Db } from '../../db/schema.ts'

/** Notes that a JWT has been used. @returns whether it had not been before, on any replica. */
export async function useOnce(
  db: Db,
  { clientId, jtiHash, expiresAt }: { clientId: string; jtiHash: Buffer; expiresAt: Date },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('assertion_ids')
    .values({ client_id: clientId, jti_hash: jtiHash, expires_at: expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** Deletes a batch of those that have expired. @returns how many. */
export async function deleteExpiredIds(db: Db, now: Date, batch: number): Promise<number> {
  return await deleteBatch(db, 'assertion_ids', {
    key: ['client_id', 'jti_hash'],
    where: sql`expires_at < ${now}`,
    limit: batch,
  })
}
