import { sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db } from '../db/schema.ts'
import { columnsOfU, type User } from '../db/user.ts'

/** NIST SP 800-63B-4 §3.2.2: after 100 consecutive failures the password is of no use until somebody resets it. */
export const PASSWORD_DISABLED = 100

/** When attempts are refused without checking the password. */
interface BackoffRule {
  /** How many failures start the back-off. */
  threshold: number
  /** How long the first refusal lasts. Each further failure doubles it. */
  firstSeconds: number
  longestSeconds: number
  /** An attempt that has been in flight for longer has died with its server. */
  longestFlightSeconds: number
}

/**
 * An attempt that may go on to the hash. It counts as failed until it has succeeded. Its counter is kept in one row for
 * each entry of CLAVIGER_SECRET, all with the same values, so that no counter is lost while the list changes on one
 * replica after the other.
 */
export interface Attempt {
  identifiers: readonly Buffer[]
  /** This attempt included. */
  failures: number
  blockedUntil: Date
}

/** An account that may not exist: by the normalised address that was typed, or by the id of the user who is signed in. */
export type Wanted = { by: 'email' | 'id'; value: string }

/** Parameters of a PHC string, as in the index users_hash_parameters_idx. */
const parametersOf = (hash: string) => sql`substring(${sql.ref(hash)} FROM '^\\$argon2id\\$v=19\\$([^$]*)\\$')`

/** The most steps in that index, one for each kind of hash: a hundred imported kinds must not slow down every attempt. */
const MOST_STEPS = 32

/** The distinct parameters of the stored hashes, found by skipping from one to the next in the index. */
const parametersInUse = sql`
  (
    SELECT ${parametersOf('password_hash')} AS parameters, 1 AS step FROM users
    WHERE ${parametersOf('password_hash')} IS NOT NULL ORDER BY 1 LIMIT 1
  ) UNION ALL SELECT (
    SELECT ${parametersOf('password_hash')} FROM users
    WHERE ${parametersOf('password_hash')} > in_use.parameters ORDER BY 1 LIMIT 1
  ), step + 1 FROM in_use WHERE parameters IS NOT NULL AND step < ${sql.lit(MOST_STEPS)}`

/**
 * Finds an account and counts an attempt on it as failed before it is made, in one statement. Otherwise an attacker
 * could send many guesses at the same moment, and all would get through before the first is counted. Rows are locked in
 * ascending order, so that two attempts do not deadlock. If another replica inserts one of the rows at this very moment
 * and that row refuses, the other rows have counted an attempt that is not made: one failure too many, in flight until
 * the next attempt.
 * @param identifiers in ascending order.
 * @returns no attempt while attempts are refused. `inUse` holds the parameters of stored hashes, as in PHC strings.
 */
export async function reserveAttempt(
  db: Db,
  { identifiers, wanted, now }: { identifiers: readonly Buffer[]; wanted: Wanted; now: Date },
  rule: BackoffRule,
): Promise<{ user: User | undefined; attempt: Attempt | undefined; inUse: string[] }> {
  const blockedAfter = (failures: ReturnType<typeof sql>) => sql`
    CASE WHEN ${failures} >= ${rule.threshold}::int THEN ${now}::timestamptz + interval '1 second'
      * least(${rule.longestSeconds}::int, ${rule.firstSeconds}::int * 2 ^ least(20, ${failures} - ${rule.threshold}::int))
    ELSE ${NOT_BLOCKED}::timestamptz END`
  const oldestInFlight = new Date(now.getTime() - rule.longestFlightSeconds * 1000)
  const counted = sql`greatest(f.failures + 1, EXCLUDED.failures)`
  const { rows } = await sql<
    (User | { id: null }) & Pick<Attempt, 'blockedUntil'> & { failures: number | null; inUse: string[] }
  >`
    WITH RECURSIVE account AS (
      SELECT * FROM users WHERE ${sql.ref(wanted.by)} = ${wanted.value}
    ), held AS MATERIALIZED (${heldRows(identifiers)}), so_far AS (
      SELECT coalesce(max(failures), 0) AS failures, coalesce(max(blocked_until), ${NOT_BLOCKED}) AS blocked_until FROM held
    ), counted AS (
      INSERT INTO login_failures AS f (identifier_hash, user_id, failures, in_flight, blocked_until, last_attempt_at)
      SELECT identifier, (SELECT id FROM account), so_far.failures + 1, 1, ${blockedAfter(sql`(so_far.failures + 1)`)}, ${now}
      FROM so_far, unnest(${identifiers}::bytea[]) AS identifier
      WHERE so_far.blocked_until <= ${now} ORDER BY identifier
      ON CONFLICT (identifier_hash) DO UPDATE SET
        user_id = EXCLUDED.user_id,
        failures = ${counted},
        in_flight = 1 + CASE WHEN f.last_attempt_at > ${oldestInFlight} THEN f.in_flight ELSE 0 END,
        blocked_until = ${blockedAfter(counted)},
        last_attempt_at = ${now}
      WHERE f.blocked_until <= ${now}
      RETURNING failures, blocked_until
    ), reserved AS (
      SELECT max(failures) AS failures, max(blocked_until) AS blocked_until FROM counted
      HAVING count(*) = cardinality(${identifiers}::bytea[])
    ), in_use AS (${parametersInUse})
    SELECT reserved.failures, reserved.blocked_until AS "blockedUntil", ${columnsOfU},
      ARRAY(SELECT parameters FROM in_use WHERE parameters IS NOT NULL) AS "inUse"
    FROM (VALUES (1)) AS always LEFT JOIN reserved ON true LEFT JOIN account AS u ON true`.execute(db)
  const [row] = rows
  if (!row) throw new Error('a row that is always there is missing')
  const { failures, blockedUntil, inUse, ...user } = row
  return {
    user: user.id === null ? undefined : user,
    attempt: failures === null ? undefined : { identifiers, failures, blockedUntil },
    inUse,
  }
}

/**
 * Locks the rows of a counter, in ascending order as in reserveAttempt, so that two that want the same rows do not
 * deadlock.
 */
const heldRows = (identifiers: readonly Buffer[]) => sql`
  SELECT identifier_hash, failures, blocked_until FROM login_failures
  WHERE identifier_hash = ANY(${identifiers}::bytea[]) ORDER BY identifier_hash FOR UPDATE`

/** Earlier than any clock, because the clocks of two replicas may differ a little, which must not look like a block. */
const NOT_BLOCKED = new Date(0)

/** Uncounts an attempt, and ends the refusals that it started. */
export async function releaseAttempt(db: Db, attempt: Attempt, threshold: number): Promise<void> {
  await sql`
    WITH held AS MATERIALIZED (${heldRows(attempt.identifiers)})
    UPDATE login_failures AS f SET
      failures = greatest(0, f.failures - 1),
      in_flight = greatest(0, f.in_flight - 1),
      blocked_until = CASE WHEN f.blocked_until = ${attempt.blockedUntil} OR f.failures <= ${threshold}
        THEN ${NOT_BLOCKED} ELSE f.blocked_until END
    FROM held WHERE f.identifier_hash = held.identifier_hash`.execute(db)
}

/**
 * Notes that an attempt has failed, as it was counted from the start. The hundredth in a row disables the password.
 */
export async function settleAttempt(db: Db, now: Date, attempt: Attempt, userId: string | null): Promise<void> {
  await sql`
    WITH held AS MATERIALIZED (${heldRows(attempt.identifiers)}), settled AS (
      UPDATE login_failures AS f SET in_flight = greatest(0, f.in_flight - 1)
      FROM held WHERE f.identifier_hash = held.identifier_hash
    )
    UPDATE users SET password_disabled_at = ${now}
    WHERE id = ${userId} AND password_disabled_at IS NULL AND ${attempt.failures}::int >= ${PASSWORD_DISABLED}::int`.execute(
    db,
  )
}

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

/** Those of the accounts whose counter has reached `failures`. */
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
  const where = sql`last_attempt_at < ${before} AND blocked_until < ${before} AND failures < ${PASSWORD_DISABLED}`
  return await deleteBatch(db, 'login_failures', { key: ['identifier_hash'], where, limit: batch })
}
