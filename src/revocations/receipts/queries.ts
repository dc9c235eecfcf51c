import { sql } from 'kysely'
import { deleteBatch } from '../../db/delete-batch.ts'
import type { Db } from '../../db/schema.ts'
import type { FeedHead, Report } from './freshness.ts'

export interface NamedReport extends Report {
  clientId: string
  instance: string
}

/**
 * Writes a report in place of the last one of that instance, unless that is less than a second old. Of one client at
 * most so many instances stay. Rows that somebody holds are passed over, so that two instances that push each other out do
 * not wait for one another.
 */
export async function writeReport(db: Db, report: NamedReport, most: number): Promise<void> {
  const { clientId, instance, epoch, seq, kids, reportedAt } = report
  await sql`
    WITH crowd AS (
      DELETE FROM verifiers WHERE (client_id, instance) IN (
        SELECT client_id, instance FROM verifiers WHERE client_id = ${clientId} AND instance <> ${instance}
        ORDER BY reported_at DESC OFFSET ${most - 1} FOR UPDATE SKIP LOCKED
      )
    )
    INSERT INTO verifiers (client_id, instance, epoch, seq, kids, reported_at)
    VALUES (${clientId}, ${instance}, ${epoch}, ${seq}, ${kids}::text[], ${reportedAt})
    ON CONFLICT (client_id, instance) DO UPDATE
    SET epoch = excluded.epoch, seq = excluded.seq, kids = excluded.kids, reported_at = excluded.reported_at
    WHERE verifiers.reported_at <= excluded.reported_at - interval '1 second'`.execute(db)
}

export async function feedHead(db: Db): Promise<FeedHead> {
  const row = await db.selectFrom('revocation_feed').select(['epoch', 'last_seq']).executeTakeFirstOrThrow()
  return { epoch: row.epoch, seq: Number(row.last_seq) }
}

export interface ReportRow extends NamedReport {
  /** The name of the client. */
  client: string
  /** When the oldest entry was made that the report does not cover. */
  missedSince: Date | undefined
}

/** What instances of services that may still report have said since `since`. */
export async function reportsSince(db: Db, since: Date): Promise<ReportRow[]> {
  const { rows } = await sql<{
    client_id: string
    client: string
    instance: string
    epoch: string
    seq: string
    kids: string[]
    reported_at: Date
    missed_since: Date | null
  }>`
    SELECT v.client_id, clients.name AS client, v.instance, v.epoch, v.seq, v.kids, v.reported_at, (
      SELECT revoked_at FROM revocations WHERE revocations.seq > v.seq ORDER BY revocations.seq LIMIT 1
    ) AS missed_since
    FROM verifiers v JOIN clients ON clients.id = v.client_id
    WHERE clients.disabled_at IS NULL AND v.reported_at > ${since}
    ORDER BY clients.name, v.instance`.execute(db)
  return rows.map((row) => ({
    clientId: row.client_id,
    client: row.client,
    instance: row.instance,
    epoch: row.epoch,
    seq: Number(row.seq),
    kids: row.kids,
    reportedAt: row.reported_at,
    missedSince: row.missed_since ?? undefined,
  }))
}

/** Whether an instance that has reported since `since` does not hold the key. */
export async function lacksKey(db: Db, since: Date, kid: string): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM verifiers v JOIN clients ON clients.id = v.client_id
    WHERE clients.disabled_at IS NULL AND v.reported_at > ${since} AND NOT ${kid} = ANY (v.kids)
    LIMIT 1`.execute(db)
  return rows.length > 0
}

export interface EntryRow {
  seq: number | undefined
  revokedAt: Date
}

/**
 * The first entry of the feed that covers every access token of a session: its own, or one for its user or for everybody
 * that came after its last token.
 */
export async function firstEntryOf(
  db: Db,
  { sid, userId, lastTokenAt }: { sid: string; userId: string | undefined; lastTokenAt: Date | undefined },
): Promise<EntryRow | undefined> {
  const { rows } = await sql<{ seq: string | null; revoked_at: Date }>`
    SELECT seq, revoked_at FROM revocations
    WHERE (kind = 'session' AND sid = ${sid}::uuid)
      OR (kind = 'subject' AND sub = ${userId ?? null}::text AND revoked_at >= ${lastTokenAt ?? null}::timestamptz)
      OR (kind = 'all' AND revoked_at >= ${lastTokenAt ?? null}::timestamptz)
    ORDER BY seq NULLS LAST LIMIT 1`.execute(db)
  const [row] = rows
  return row && { seq: row.seq === null ? undefined : Number(row.seq), revokedAt: row.revoked_at }
}

/** Deletes a batch of reports from before `before`. @returns how many. */
export async function deleteReports(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`reported_at < ${before} ORDER BY reported_at`
  return await deleteBatch(db, 'verifiers', { key: ['client_id', 'instance'], where, limit: batch })
}
