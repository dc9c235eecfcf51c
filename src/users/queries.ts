import { sql } from 'kysely'
import type { Db, Tx } from '../db/schema.ts'

/** An account, with what its owner never sees. */
export interface User {
  id: string
  /** Normalised. */
  email: string
  emailVerified: boolean
  /** PHC string; null: cannot sign in with a password. */
  passwordHash: string | null
  roles: string[]
  claims: Record<string, unknown>
  disabledAt: Date | null
  createdAt: Date
}

const columns = [
  'id',
  'email',
  'email_verified as emailVerified',
  'password_hash as passwordHash',
  'roles',
  'claims',
  'disabled_at as disabledAt',
  'created_at as createdAt',
] as const

/** @param email as normaliseEmail returns it. */
export async function findByEmail(db: Db, email: string): Promise<User | undefined> {
  return await db.selectFrom('users').select(columns).where('email', '=', email).executeTakeFirst()
}

export async function findById(db: Db, id: string): Promise<User | undefined> {
  return await db.selectFrom('users').select(columns).where('id', '=', id).executeTakeFirst()
}

/**
 * Reads the account as it is now and keeps it so until the transaction ends. Not FOR UPDATE: a new family's reference to
 * its user need not wait.
 */
export async function lockById(tx: Tx, id: string): Promise<User | undefined> {
  return await tx.selectFrom('users').select(columns).where('id', '=', id).forNoKeyUpdate().executeTakeFirst()
}

/** In order of creation, after the account with the id `after`. */
export async function listAfter(db: Db, after: string | null, limit: number): Promise<User[]> {
  return await db
    .selectFrom('users')
    .select(columns)
    .$if(after !== null, (qb) =>
      qb.where(sql<boolean>`(created_at, id) > (SELECT created_at, id FROM users WHERE id = ${after})`),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
}

type NewUser = Pick<User, 'id' | 'email' | 'passwordHash' | 'roles' | 'createdAt'>

/** The constraint decides who is first. @returns undefined if the address has an account. */
export async function insertUser(tx: Tx, user: NewUser): Promise<User | undefined> {
  return await tx
    .insertInto('users')
    .values({
      id: user.id,
      email: user.email,
      password_hash: user.passwordHash,
      roles: user.roles,
      disabled_at: null,
      created_at: user.createdAt,
    })
    .onConflict((oc) => oc.constraint('users_email_key').doNothing())
    .returning(columns)
    .executeTakeFirst()
}

/** On a row that the caller has locked. */
export async function writePasswordHash(tx: Tx, id: string, passwordHash: string): Promise<void> {
  await tx.updateTable('users').set({ password_hash: passwordHash }).where('id', '=', id).execute()
}

/** On a row that the caller has locked. */
export async function writeDisabledAt(tx: Tx, id: string, disabledAt: Date | null): Promise<void> {
  await tx.updateTable('users').set({ disabled_at: disabledAt }).where('id', '=', id).execute()
}

/** On a row that the caller has locked. */
export async function writeRoles(tx: Tx, id: string, roles: string[]): Promise<void> {
  await tx.updateTable('users').set({ roles }).where('id', '=', id).execute()
}

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
  /** This attempt included. */
  failures: number
  blockedUntil: Date
}

/**
 * Counts an attempt as failed before it is made, in one statement: of many at the same moment only as many get through
 * as the rule allows. @returns undefined while attempts are refused; nothing is counted then.
 */
export async function reserveAttempt(
  db: Db,
  attempt: { identifier: Buffer; userId: string | null; now: Date },
  rule: BackoffRule,
): Promise<Reservation | undefined> {
  const { identifier, userId, now } = attempt
  const { rows } = await sql<Reservation>`
    INSERT INTO login_failures AS f (identifier_hash, user_id, failures, blocked_until, last_attempt_at)
    VALUES (${identifier}, ${userId}, 1, ${NOT_BLOCKED}, ${now})
    ON CONFLICT (identifier_hash) DO UPDATE SET
      user_id = EXCLUDED.user_id,
      failures = f.failures + 1,
      blocked_until = CASE WHEN f.failures + 1 >= ${rule.threshold}::int
        THEN ${now}::timestamptz + interval '1 second'
          * least(${rule.longestSeconds}::int, ${rule.firstSeconds}::int * 2 ^ least(20, f.failures + 1 - ${rule.threshold}::int))
        ELSE f.blocked_until END,
      last_attempt_at = ${now}
    WHERE f.blocked_until <= ${now}
    RETURNING failures, blocked_until AS "blockedUntil"`.execute(db)
  return rows[0]
}

/** Before every clock: two replicas may differ by a moment, which must not look like a block of that moment. */
const NOT_BLOCKED = new Date(0)

/** Takes one reservation back, and the refusals that it started. */
export async function releaseAttempt(
  db: Db,
  identifier: Buffer,
  reservation: Reservation,
  threshold: number,
): Promise<void> {
  await db
    .updateTable('login_failures')
    .set((eb) => ({
      failures: sql<number>`greatest(0, failures - 1)`,
      blocked_until: eb
        .case()
        .when(eb.or([eb('blocked_until', '=', reservation.blockedUntil), eb('failures', '<=', threshold)]))
        .then(NOT_BLOCKED)
        .else(eb.ref('blocked_until'))
        .end(),
    }))
    .where('identifier_hash', '=', identifier)
    .execute()
}

export async function blockedUntil(db: Db, identifier: Buffer): Promise<Date | undefined> {
  const row = await db
    .selectFrom('login_failures')
    .select('blocked_until')
    .where('identifier_hash', '=', identifier)
    .executeTakeFirst()
  return row?.blocked_until
}

/** By identifier, and by account: after a change of CLAVIGER_SECRET the identifier alone finds nothing. */
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
