import { sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db } from '../db/schema.ts'

/** When attempts are refused without looking at what they prove. */
interface BackoffRule {
  /** How many failures running start the back-off. */
  threshold: number
  /** How long the first refusal lasts. Each further failure doubles it. */
  firstSeconds: number
  longestSeconds: number
}

/** The failures that are kept under a key, if there are any. */
export async function findFailures(db: Db, key: Buffer): Promise<{ blockedUntil: Date } | undefined> {
  return await db
    .selectFrom('client_failures')
    .select('blocked_until as blockedUntil')
    .where('key_hash', '=', key)
    .executeTakeFirst()
}

export async function countFailure(db: Db, now: Date, key: Buffer, rule: BackoffRule): Promise<void> {
  const failures = sql`f.failures + 1`
  await sql`
    INSERT INTO client_failures AS f (key_hash, failures, blocked_until, last_failed_at)
    VALUES (${key}, 1, ${new Date(0)}, ${now})
    ON CONFLICT (key_hash) DO UPDATE SET
      failures = ${failures},
      blocked_until = CASE WHEN ${failures} >= ${rule.threshold}::int THEN ${now}::timestamptz + interval '1 second'
        * least(${rule.longestSeconds}::int, ${rule.firstSeconds}::int * 2 ^ least(20, ${failures} - ${rule.threshold}::int))
        ELSE f.blocked_until END,
      last_failed_at = ${now}`.execute(db)
}

export async function forgetFailures(db: Db, key: Buffer): Promise<void> {
  await db.deleteFrom('client_failures').where('key_hash', '=', key).execute()
}

/** Deletes a batch of counters that nobody has raised since `before`. @returns how many. */
export async function deleteOldFailures(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`last_failed_at < ${before}`
  return await deleteBatch(db, 'client_failures', { key: ['key_hash'], where, limit: batch })
}
