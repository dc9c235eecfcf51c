import { type RawBuilder, sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db } from '../db/schema.ts'

/**
 * NIST SP 800-63B-4 §3.2.2: after 100 consecutive failures the password is of no use until somebody resets it. All counters
 * of the account count, since each known device of it has one.
 */
export const PASSWORD_DISABLED = 100

/**
 * The failures of an account, over its rows. Those that count by address all have the same value, one for each entry of
 * CLAVIGER_SECRET; each known device has a counter of its own.
 */
export const FAILURES_TOGETHER = sql`
  coalesce(sum(failures) FILTER (WHERE of_device), 0)
    + coalesce(max(failures) FILTER (WHERE NOT of_device), 0)`

/**
 * Identifiers as an array whose length the planner does not see. It expects ten where it knows nothing, one where it sees one, and would
 * plan such a statement anew each time it is sent, which costs more than running it.
 */
export const unmeasured = (identifiers: RawBuilder<readonly Buffer[]>) =>
  sql`ARRAY(SELECT unnest(${identifiers}::bytea[]))`

/** The counter of an address, whichever secret it is kept under. */
export async function findCounter(
  db: Db,
  identifiers: readonly Buffer[],
): Promise<{ blockedUntil: Date; inFlight: number; lastAttemptAt: Date } | undefined> {
  const row = await db
    .selectFrom('login_failures')
    .select(({ fn }) => [
      fn.max('blocked_until').as('blockedUntil'),
      fn.max('in_flight').as('inFlight'),
      fn.max('last_attempt_at').as('lastAttemptAt'),
    ])
    .where('identifier_hash', '=', sql<Buffer>`ANY(${identifiers}::bytea[])`)
    .executeTakeFirstOrThrow()
  const { blockedUntil, inFlight, lastAttemptAt } = row
  return blockedUntil && lastAttemptAt && inFlight !== null ? { blockedUntil, inFlight, lastAttemptAt } : undefined
}

/** Deletes by identifier and by account, since a counter under a secret that was removed is found only by its account. */
export async function deleteFailures(db: Db, identifiers: readonly Buffer[], userId: string): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('login_failures')
    .where((eb) =>
      eb.or([
        eb('user_id', '=', userId),
        eb('identifier_hash', '=', eb.fn.any(sql<Buffer[]>`${identifiers}::bytea[]`)),
      ]),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}

export async function deleteCounters(db: Db, identifiers: readonly Buffer[]): Promise<void> {
  await db
    .deleteFrom('login_failures')
    .where('identifier_hash', '=', sql<Buffer>`ANY(${identifiers}::bytea[])`)
    .execute()
}

/** Those of the accounts whose counters have reached `failures` together. */
export async function accountsWithFailures(db: Db, userIds: string[], failures: number): Promise<Set<string>> {
  const rows = await db
    .selectFrom('login_failures')
    .select('user_id')
    .where('user_id', '=', sql<string>`ANY(${userIds}::uuid[])`)
    .groupBy('user_id')
    .having(FAILURES_TOGETHER, '>=', failures)
    .execute()
  return new Set(rows.flatMap((row) => row.user_id ?? []))
}

/**
 * Deletes a batch of counters that nobody has touched since `before`; those that keep a password
 * disabled stay. Whether an account exists makes no difference, or it would show.
 * @returns how many.
 */
export async function deleteStaleFailures(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`last_attempt_at < ${before} AND blocked_until < ${before} AND failures < ${PASSWORD_DISABLED}`
  return await deleteBatch(db, 'login_failures', { key: ['identifier_hash'], where, limit: batch })
}
