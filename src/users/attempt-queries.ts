import { sql } from 'kysely'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from './queries.ts'

/** The columns of a user, for a statement that is written out. */
const columnsOfU = sql`u.id, u.email, u.email_verified AS "emailVerified", u.password_hash AS "passwordHash", u.roles,
  u.claims, u.disabled_at AS "disabledAt", u.created_at AS "createdAt"`

/** NIST SP 800-63B-4 §3.2.2: after 100 consecutive failures the password is of no use until somebody resets it. */
export const PASSWORD_DISABLED = 100

/** When attempts are refused without being looked at. */
interface BackoffRule {
  /** Failures that start it. */
  threshold: number
  /** Of the first refusal; each further failure doubles it. */
  firstSeconds: number
  longestSeconds: number
}

export interface Reservation {
  /** Of the counter, whichever secret it was begun under. */
  counter: Buffer
  /** This attempt included. */
  failures: number
  blockedUntil: Date
}

/** Of an account that may not exist: by the address that was typed (normalised), or by the id of whoever is signed in. */
export type Wanted = { email: string } | { id: string }

/**
 * Finds an account, and counts an attempt on it as failed before it is made, in one statement: of many at the same moment
 * only as many get through as the rule allows.
 *
 * The counter is found under every listed secret, and by the account once that is known, so that a rotation of the secret
 * starts nothing anew. One that begins is put under the oldest: replicas whose lists are not the same yet agree on that one.
 * @param attempt.identifiers of the same address under each secret, newest first.
 * @returns no reservation while attempts are refused; nothing is counted then.
 */
export async function reserveAttempt(
  db: Db,
  attempt: { identifiers: Buffer[]; wanted: Wanted; now: Date },
  rule: BackoffRule,
): Promise<{ user: User | undefined; reservation: Reservation | undefined; blockedUntil: Date | null }> {
  const { identifiers, wanted, now } = attempt
  const oldest = identifiers.at(-1)
  const { rows } = await sql<(User | { id: null }) & (Reservation | { failures: null }) & { wait: Date | null }>`
    WITH account AS (
      SELECT * FROM users WHERE ${'id' in wanted ? sql`id = ${wanted.id}` : sql`email = ${wanted.email}`}
    ), counters AS (
      SELECT identifier_hash, failures, blocked_until FROM login_failures
      WHERE identifier_hash = ANY(${identifiers}::bytea[]) OR user_id = (SELECT id FROM account)
      ORDER BY failures DESC, identifier_hash LIMIT 1
    ), reserved AS (
      INSERT INTO login_failures AS f (identifier_hash, user_id, failures, blocked_until, last_attempt_at)
      VALUES (coalesce((SELECT identifier_hash FROM counters), ${oldest}), (SELECT id FROM account), 1, ${NOT_BLOCKED}, ${now})
      ON CONFLICT (identifier_hash) DO UPDATE SET
        user_id = EXCLUDED.user_id,
        failures = f.failures + 1,
        blocked_until = CASE WHEN f.failures + 1 >= ${rule.threshold}::int
          THEN ${now}::timestamptz + interval '1 second'
            * least(${rule.longestSeconds}::int, ${rule.firstSeconds}::int * 2 ^ least(20, f.failures + 1 - ${rule.threshold}::int))
          ELSE f.blocked_until END,
        last_attempt_at = ${now}
      WHERE f.blocked_until <= ${now}
      RETURNING identifier_hash, failures, blocked_until
    )
    SELECT reserved.identifier_hash AS counter, reserved.failures, reserved.blocked_until AS "blockedUntil",
      counters.blocked_until AS wait, ${columnsOfU}
    FROM (VALUES (1)) AS always LEFT JOIN reserved ON true LEFT JOIN counters ON true LEFT JOIN account AS u ON true`.execute(
    db,
  )
  const [row] = rows
  if (!row) throw new Error('a row that is always there is missing')
  const { counter, failures, blockedUntil, wait, ...user } = row as User & Reservation & { wait: Date | null }
  return {
    user: row.id === null ? undefined : user,
    reservation: row.failures === null ? undefined : { counter, failures, blockedUntil },
    blockedUntil: wait,
  }
}

/** Before every clock: two replicas may differ by a moment, which must not look like a block of that moment. */
const NOT_BLOCKED = new Date(0)

/** Takes one reservation back, and the refusals that it started. */
export async function releaseAttempt(db: Db, reservation: Reservation, threshold: number): Promise<void> {
  await sql`
    UPDATE login_failures SET
      failures = greatest(0, failures - 1),
      blocked_until = CASE WHEN blocked_until = ${reservation.blockedUntil} OR failures <= ${threshold}
        THEN ${NOT_BLOCKED} ELSE blocked_until END
    WHERE identifier_hash = ${reservation.counter}`.execute(db)
}

/**
 * Locks the row of a user whose password proved right. If the account is enabled and still has the password hash that was
 * verified, its failures are forgotten, in the same statement.
 * @returns the account as it is now, and whether that was so; undefined if it is gone.
 */
export async function lockProven(
  tx: Tx,
  { id, passwordHash }: Pick<User, 'id' | 'passwordHash'>,
  identifiers: Buffer[],
): Promise<(User & { stands: boolean }) | undefined> {
  const { rows } = await sql<User & { stands: boolean }>`
    WITH u AS (
      SELECT *, coalesce(disabled_at IS NULL AND password_hash = ${passwordHash}, false) AS stands
      FROM users WHERE id = ${id} FOR NO KEY UPDATE
    ), forgotten AS (
      DELETE FROM login_failures
      WHERE (user_id = ${id} OR identifier_hash = ANY(${identifiers}::bytea[])) AND EXISTS (SELECT FROM u WHERE stands)
    )
    SELECT ${columnsOfU}, u.stands FROM u`.execute(tx)
  return rows[0]
}

/** By identifier, and by account: once the secret is gone from the list, the identifier alone finds nothing. */
export async function deleteFailures(db: Db, identifiers: Buffer[], userId: string): Promise<number> {
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

/** Of these accounts, those whose counter has reached `failures`. */
export async function accountsWithFailures(db: Db, userIds: string[], failures: number): Promise<Set<string>> {
  const rows = await db
    .selectFrom('login_failures')
    .select('user_id')
    .where('user_id', '=', sql<string>`ANY(${userIds}::uuid[])`)
    .where('failures', '>=', failures)
    .execute()
  return new Set(rows.flatMap((row) => row.user_id ?? []))
}

/**
 * Deletes a batch of counters that nobody has touched since `before`; those that keep a password
 * disabled stay. Whether an account exists makes no difference, or it would show.
 * @returns how many.
 */
export async function deleteStaleFailures(db: Db, before: Date, batch: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM login_failures WHERE identifier_hash IN (
      SELECT identifier_hash FROM login_failures
      WHERE last_attempt_at < ${before} AND blocked_until < ${before} AND failures < ${PASSWORD_DISABLED}
      LIMIT ${batch} FOR UPDATE SKIP LOCKED
    )`.execute(db)
  return Number(numAffectedRows ?? 0n)
}
