import { sql } from 'kysely'
import { builtOnce } from '../../db/built-once.ts'
import type { Db, Tx } from '../../db/schema.ts'
import { columnsOfU, type User } from '../../db/user.ts'
import { unmeasured } from '../counter-queries.ts'
import { forgettingAccount } from '../spray-queries.ts'

/** An account whose password was right, and what its failures are counted under. */
interface Proven {
  id: string
  passwordHash: string | null
  identifiers: readonly Buffer[]
  address: string | null
  /** As in sprayIdentifiers. */
  accounts: readonly Buffer[]
}

/** As it is now, and whether it is enabled and still has the hash. */
type Current = User & { stands: boolean }

const lockAndForget = builtOnce<Proven, Current>((parameter) => {
  const id = parameter((proven) => proven.id)
  const stands = sql`EXISTS (SELECT FROM u WHERE stands)`
  const identifiers = unmeasured(parameter((proven) => proven.identifiers))
  const unsuspected = forgettingAccount(
    parameter(({ address }) => address),
    parameter(({ accounts }) => accounts),
    sql`${stands} AND (SELECT count(*) FROM forgotten) >= 0`,
  )
  return sql`
    WITH u AS (
      SELECT *, coalesce(disabled_at IS NULL AND password_disabled_at IS NULL
        AND password_hash = ${parameter(({ passwordHash }) => passwordHash)}, false) AS stands
      FROM locked_user(${id})
    ), held AS MATERIALIZED (
      SELECT identifier_hash FROM login_failures
      WHERE (user_id = ${id} OR identifier_hash = ANY(${identifiers})) AND ${stands}
      ORDER BY identifier_hash FOR UPDATE
    ), forgotten AS (
      DELETE FROM login_failures WHERE identifier_hash IN (SELECT identifier_hash FROM held) RETURNING 1
    ), unsuspected AS (${unsuspected})
    SELECT ${columnsOfU}, u.stands FROM u`
})

/**
 * Locks the row of a user whose password was right. If the account is enabled and still has the hash that was verified,
 * its failures are deleted by the same statement, and so is what they add to the suspicion against its network.
 * @returns the account as it is now, and whether that held; undefined if it is gone.
 */
export async function lockProven(tx: Tx, proven: Proven): Promise<Current | undefined> {
  return (await lockAndForget(tx, proven))[0]
}

/** The caller has locked the row. */
export async function writePasswordHash(tx: Tx, id: string, passwordHash: string): Promise<void> {
  await tx.updateTable('users').set({ password_hash: passwordHash }).where('id', '=', id).execute()
}

/** @returns false if it was disabled already. */
export async function disablePassword(tx: Tx, id: string, since: Date): Promise<boolean> {
  // Before the UPDATE: on Citus, one that waited for the row would hold up changes of all accounts meanwhile.
  await sql`SELECT FROM locked_user(${id})`.execute(tx)
  const { numUpdatedRows } = await tx
    .updateTable('users')
    .set({ password_disabled_at: since })
    .where('id', '=', id)
    .where('password_disabled_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Lets the password be used again. The caller has locked the row. */
export async function enablePassword(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('users').set({ password_disabled_at: null }).where('id', '=', id).execute()
}

/** How many accounts have a hash that another system made, by function. */
export async function countForeignHashes(db: Db): Promise<{ scheme: string; accounts: number }[]> {
  const { rows } = await sql<{ scheme: string; accounts: number }>`
    SELECT regexp_replace(split_part(password_hash, '$', 2), '^2[aby]$', 'bcrypt') AS scheme, count(*)::int AS accounts
    FROM users WHERE password_hash NOT LIKE '$argon2id$%' GROUP BY 1 ORDER BY 1`.execute(db)
  return rows
}
