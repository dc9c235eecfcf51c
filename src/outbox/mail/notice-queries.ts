import { sql } from 'kysely'
import type { Tx } from '../../db/schema.ts'

/** How many mails about one cause an account gets within how many milliseconds. */
export interface NoticeRule {
  most: number
  within: number
}

/**
 * Counts a notice, unless there were enough. Mail goes to the address of the account, which is read here.
 * @returns undefined if there were enough, or if the account is gone.
 */
export async function countNotice(
  tx: Tx,
  now: Date,
  { userId, cause }: { userId: string; cause: string },
  { most, within }: NoticeRule,
): Promise<{ email: string; locale: string | null } | undefined> {
  const recent = sql`ARRAY(
    SELECT at FROM unnest(n.sent_at) AS at WHERE at > ${new Date(now.getTime() - within)}::timestamptz ORDER BY at)`
  const { rows } = await sql<{ email: string; locale: string | null }>`
    WITH counted AS (
      INSERT INTO notices AS n (user_id, cause, sent_at)
      SELECT id, ${cause}, ARRAY[${now}::timestamptz] FROM user_by_id(${userId})
      ON CONFLICT (user_id, cause) DO UPDATE SET sent_at = array_append(${recent}, ${now}::timestamptz)
      WHERE cardinality(${recent}) < ${most}::int
      RETURNING user_id
    )
    SELECT u.email, u.locale FROM counted, user_by_id(counted.user_id) AS u`.execute(tx)
  return rows[0]
}

export async function deleteNotices(tx: Tx, userId: string): Promise<void> {
  await tx.deleteFrom('notices').where('user_id', '=', userId).execute()
}
