import { sql } from 'kysely'
import { deleteBatch } from '../../db/delete-batch.ts'
import type { Db, OneTimePurpose, Tx } from '../../db/schema.ts'

/** What a code speaks of. */
export interface CodeFacts {
  id: string
  /** Null for invitations. */
  userId: string | null
  /** The address that it was sent to. */
  email: string
  details: Record<string, unknown>
  createdAt: Date
  expiresAt: Date
}

export interface NewCode extends CodeFacts {
  purpose: OneTimePurpose
  tokenHash: Buffer
  /** Null: there is only the link. */
  codeHash: Buffer | null
}

const FACTS = sql`id, user_id AS "userId", email, details, created_at AS "createdAt", expires_at AS "expiresAt"`

/** @returns false if another was written for the same at this very moment. */
export async function replaceCode(tx: Tx, code: NewCode): Promise<boolean> {
  const { purpose, userId, email } = code
  await sql`
    DELETE FROM one_time_codes WHERE purpose = ${purpose} AND CASE ${purpose}
      WHEN 'undo_email_change' THEN user_id = ${userId} AND email = ${email}
      WHEN 'change_email' THEN user_id = ${userId}
      ELSE user_id = ${userId} OR email = ${email} END`.execute(tx)
  const { numAffectedRows } = await sql`
    INSERT INTO one_time_codes
      (id, purpose, user_id, email, token_hash, code_hash, details, created_at, expires_at)
    VALUES (${code.id}, ${purpose}, ${userId}, ${email}, ${code.tokenHash}, ${code.codeHash},
      ${JSON.stringify(code.details)}, ${code.createdAt}, ${code.expiresAt})
    ON CONFLICT DO NOTHING`.execute(tx)
  return numAffectedRows === 1n
}

export async function findByToken(db: Db, purpose: OneTimePurpose, tokenHash: Buffer): Promise<CodeFacts | undefined> {
  const { rows } = await sql<CodeFacts>`
    SELECT ${FACTS} FROM one_time_codes WHERE purpose = ${purpose} AND token_hash = ${tokenHash}`.execute(db)
  return rows[0]
}

/** Whose code it is said to be: of the account or invitation that has an address, or of a user who is signed in. */
export type Owner = { email: string } | { userId: string }

/**
 * Compares a code, and counts it in the same statement if it is wrong: otherwise many guesses at the same moment would all
 * be compared before the first is counted.
 * @param codeHashes of the presented code, one for each entry of CLAVIGER_SECRET.
 * @returns undefined if there is no such code or its tries are used up.
 */
export async function tryCode(
  db: Db,
  now: Date,
  { purpose, owner, codeHashes }: { purpose: OneTimePurpose; owner: Owner; codeHashes: readonly Buffer[] },
  mostTries: number,
): Promise<(CodeFacts & { matches: boolean }) | undefined> {
  const whose = 'email' in owner ? sql`email = ${owner.email}` : sql`user_id = ${owner.userId}`
  const matches = sql`code_hash = ANY (${codeHashes}::bytea[])`
  const { rows } = await sql<CodeFacts & { matches: boolean }>`
    UPDATE one_time_codes SET
      code_tries = code_tries + CASE WHEN ${matches} THEN 0 ELSE 1 END,
      code_hash = CASE WHEN ${matches} OR code_tries + 1 < ${mostTries}::int THEN code_hash END
    WHERE purpose = ${purpose} AND ${whose} AND code_hash IS NOT NULL AND expires_at > ${now}
    RETURNING ${FACTS}, coalesce(${matches}, false) AS matches`.execute(db)
  return rows[0]
}

/** @returns whether it was there. */
export async function deleteCode(tx: Tx, id: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('one_time_codes').where('id', '=', id).executeTakeFirst()
  return numDeletedRows === 1n
}

export async function deleteCodesOf(tx: Tx, userId: string, purposes: readonly OneTimePurpose[]): Promise<void> {
  await tx.deleteFrom('one_time_codes').where('user_id', '=', userId).where('purpose', 'in', purposes).execute()
}

/** Deletes all that a user was sent. */
export async function deleteCodes(tx: Tx, userId: string): Promise<void> {
  await tx.deleteFrom('one_time_codes').where('user_id', '=', userId).execute()
}

/** Deletes those of one purpose that another address was sent. */
export async function deleteCodesElsewhere(
  tx: Tx,
  { userId, purpose, email }: { userId: string; purpose: OneTimePurpose; email: string },
): Promise<void> {
  await tx
    .deleteFrom('one_time_codes')
    .where('user_id', '=', userId)
    .where('purpose', '=', purpose)
    .where('email', '<>', email)
    .execute()
}

/** Deletes all that a user was sent, except for the ways back that were sent before a moment. */
export async function deleteAllButEarlierWaysBack(tx: Tx, userId: string, before: Date): Promise<void> {
  await sql`
    DELETE FROM one_time_codes
    WHERE user_id = ${userId} AND NOT (purpose = 'undo_email_change' AND created_at < ${before})`.execute(tx)
}

/** The users who may take an address back. */
export async function usersWithWayBack(tx: Tx, now: Date, email: string): Promise<string[]> {
  const { rows } = await sql<{ userId: string }>`
    SELECT user_id AS "userId" FROM one_time_codes
    WHERE purpose = 'undo_email_change' AND email = ${email} AND expires_at > ${now}`.execute(tx)
  return rows.map(({ userId }) => userId)
}

/** Those of these addresses that some user may take back. */
export async function addressesWithWayBack(tx: Tx, now: Date, emails: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ email: string }>`
    SELECT email FROM one_time_codes
    WHERE purpose = 'undo_email_change' AND email = ANY(${emails}::text[]) AND expires_at > ${now}`.execute(tx)
  return rows.map(({ email }) => email)
}

/** The newest first. */
export async function selectInvitations(db: Db, now: Date, limit: number): Promise<CodeFacts[]> {
  const { rows } = await sql<CodeFacts>`
    SELECT ${FACTS} FROM one_time_codes WHERE purpose = 'invitation' AND expires_at > ${now}
    ORDER BY created_at DESC, id LIMIT ${limit}`.execute(db)
  return rows
}

/** @returns whether it was there. */
export async function deleteInvitation(tx: Tx, email: string): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('one_time_codes')
    .where('purpose', '=', 'invitation')
    .where('email', '=', email)
    .executeTakeFirst()
  return numDeletedRows === 1n
}

/** Counts a mail to an address unless as many have gone there in the last hour or day. @returns whether it was counted. */
export async function countMail(
  tx: Tx,
  now: Date,
  addressHash: Buffer,
  { anHour, aDay }: { anHour: number; aDay: number },
): Promise<boolean> {
  const within = (seconds: number) =>
    sql`(SELECT count(*) FROM unnest(m.sent_at) AS at WHERE at > ${new Date(now.getTime() - seconds * 1000)})`
  const { rows } = await sql`
    INSERT INTO mail_counts AS m (address_hash, sent_at, last_sent_at) VALUES (${addressHash}, ARRAY[${now}::timestamptz], ${now})
    ON CONFLICT (address_hash) DO UPDATE SET
      sent_at = array_append(
        ARRAY(SELECT at FROM unnest(m.sent_at) AS at WHERE at > ${new Date(now.getTime() - 86_400_000)} ORDER BY at),
        ${now}::timestamptz),
      last_sent_at = ${now}
    WHERE ${within(3600)} < ${anHour}::int AND ${within(86_400)} < ${aDay}::int
    RETURNING 1`.execute(tx)
  return rows.length === 1
}

export async function deleteExpiredCodes(db: Db, before: Date, limit: number): Promise<number> {
  return await deleteBatch(db, 'one_time_codes', { key: ['id'], where: sql`expires_at < ${before}`, limit })
}

export async function deleteStaleCounts(db: Db, before: Date, limit: number): Promise<number> {
  return await deleteBatch(db, 'mail_counts', { key: ['address_hash'], where: sql`last_sent_at < ${before}`, limit })
}
