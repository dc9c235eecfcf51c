import { randomUUIDv7 } from 'node:crypto'
import { sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db, RevocationInitiator, Tx } from '../db/schema.ts'
import type { Entry } from './entry.ts'
import type { Revocation } from './revocation.ts'

export async function insertRevocations(
  tx: Tx,
  now: Date,
  initiator: RevocationInitiator,
  revocations: readonly Revocation[],
): Promise<void> {
  const rows = revocations.map(columnsOf)
  const column = <K extends keyof Columns>(name: K): Columns[K][] => rows.map((row) => row[name])
  await sql`
    INSERT INTO revocations (id, kind, sid, sub, kid, initiator, revoked_at)
    SELECT id, kind, sid, sub, kid, ${initiator}, ${now}
    FROM unnest(${column('id')}::uuid[], ${column('kind')}::text[], ${column('sid')}::uuid[], ${column('sub')}::text[],
      ${column('kid')}::text[]) AS r (id, kind, sid, sub, kid)`.execute(tx)
}

interface Columns {
  id: string
  kind: Revocation['kind']
  sid: string | null
  sub: string | null
  kid: string | null
}

function columnsOf(revocation: Revocation): Columns {
  const row = { id: randomUUIDv7(), kind: revocation.kind, sid: null, sub: null, kid: null }
  switch (revocation.kind) {
    case 'session':
      return { ...row, sid: revocation.sid, sub: revocation.userId }
    case 'credential':
      return { ...row, sub: revocation.userId }
    case 'subject':
      return { ...row, sub: revocation.sub }
    case 'key':
      return { ...row, kid: revocation.kid }
    case 'all':
      return row
    default:
      return revocation satisfies never
  }
}

/** Whether there is an entry, of a subject or of everybody, from `since` on. */
export async function isSubjectListed(db: Db, subject: string, since: Date): Promise<boolean> {
  const { rows } = await sql<{ listed: boolean }>`
    SELECT EXISTS (SELECT FROM revocations WHERE kind IN ('subject', 'all') AND (sub = ${subject} OR sub IS NULL)
      AND revoked_at >= ${since}) AS listed`.execute(db)
  return rows[0]?.listed ?? false
}

/** When a subject, or everybody, was revoked last, and the entries that are about the subject alone. */
export async function listOfSubject(db: Db, subject: string): Promise<{ last: Date | undefined; ids: string[] }> {
  const { rows } = await sql<{ at: Date | null; ids: string[] | null }>`
    SELECT max(revoked_at) AS at, array_agg(id) FILTER (WHERE kind = 'subject') AS ids FROM revocations
    WHERE kind IN ('subject', 'all') AND (sub = ${subject} OR sub IS NULL)`.execute(db)
  return { last: rows[0]?.at ?? undefined, ids: rows[0]?.ids ?? [] }
}

/** Whether there is an entry about a subject beside these. */
export async function isSubjectListedBeside(tx: Tx, subject: string, ids: readonly string[]): Promise<boolean> {
  const { rows } = await sql<{ listed: boolean }>`
    SELECT EXISTS (SELECT FROM revocations WHERE kind = 'subject' AND sub = ${subject} AND id <> ALL (${ids}::uuid[]))
      AS listed`.execute(tx)
  return rows[0]?.listed ?? false
}

/** Verifiers accept a token for so long after its end, and a little more. */
const LEEWAY_SECONDS = 60
/**
 * Whoever has a key chooses how long its tokens live, so it is listed for as long as somebody may have the key: a cache gives out an
 * old key set for a day (`stale-if-error`), and verifiers use one for a day while they cannot renew it. An hour for what is on its way.
 */
const KEY_LISTED_SECONDS = 2 * 86_400 + 3600

/** The longest lifetime of an access token that is issued now, under these settings. */
const longestNow = (tokenSeconds: number) =>
  sql<number>`GREATEST(${tokenSeconds}::int, (SELECT max(access_token_seconds) FROM clients))`

/** Held until the transaction ends. */
export async function tryNumberingLock(tx: Tx): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    SELECT pg_try_advisory_xact_lock(hashtext('claviger/revocations')) AS locked`.execute(tx)
  return rows[0]?.locked ?? false
}

/**
 * Numbers the oldest of those that have no number. A statement of its own after the lock, so that it sees what whoever held the
 * lock before has done.
 * @returns how many.
 */
export async function numberCommitted(
  tx: Tx,
  now: Date,
  { tokenSeconds, limit }: { tokenSeconds: number; limit: number },
): Promise<number> {
  const { numAffectedRows } = await sql`
    WITH due AS MATERIALIZED (
      SELECT id, row_number() OVER (ORDER BY revoked_at, id) AS nth
      FROM (SELECT id, revoked_at FROM revocations WHERE seq IS NULL ORDER BY revoked_at, id LIMIT ${limit}) AS oldest
    ), feed AS (
      UPDATE revocation_feed SET last_seq = last_seq + (SELECT count(*) FROM due)
      RETURNING last_seq - (SELECT count(*) FROM due) AS base,
        GREATEST(${longestNow(tokenSeconds)}, CASE WHEN longest_until > ${now} THEN longest_seconds END) AS longest
    )
    UPDATE revocations AS r
    SET seq = feed.base + due.nth, expires_at = r.revoked_at + interval '1 second' *
      CASE r.kind WHEN 'key' THEN ${KEY_LISTED_SECONDS}::int ELSE feed.longest + ${LEEWAY_SECONDS} END
    FROM due, feed WHERE r.id = due.id`.execute(tx)
  return Number(numAffectedRows ?? 0n)
}

/**
 * States how long the tokens live that this server issues: a revocation that another one numbers, whose settings are shorter, is
 * kept as long. @param validMs how long that holds after the statement.
 */
export async function stateLongest(db: Db, now: Date, tokenSeconds: number, validMs: number): Promise<void> {
  const valid = new Date(now.getTime() + validMs)
  await sql`
    UPDATE revocation_feed
    SET longest_seconds = mine.longest, longest_until = ${valid}::timestamptz + mine.longest * interval '1 second'
    FROM (SELECT ${longestNow(tokenSeconds)} AS longest) AS mine
    WHERE longest_seconds <= mine.longest OR longest_until <= ${now}`.execute(db)
}

/** States how long the tokens of a client live, as long as there may be one. Shortens nothing that others have stated. */
export async function stateLongestOf(tx: Tx, now: Date, clientId: string): Promise<void> {
  await sql`
    UPDATE revocation_feed
    SET longest_seconds = GREATEST(c.access_token_seconds, CASE WHEN longest_until > ${now} THEN longest_seconds END),
      longest_until = GREATEST(longest_until, ${now}::timestamptz + (c.access_token_seconds + ${LEEWAY_SECONDS}) * interval '1 second')
    FROM clients AS c WHERE c.id = ${clientId} AND c.access_token_seconds IS NOT NULL`.execute(tx)
}

/**
 * The server process and the files that the numbers lie in: another one after a restart, a failover or a restore, whether into the
 * same database or into another.
 */
const incarnation = sql<string>`concat_ws('/', extract(epoch FROM pg_postmaster_start_time()),
  (SELECT oid FROM pg_database WHERE datname = current_database()), 'revocations'::regclass::oid,
  pg_relation_filenode('revocations'))`

export interface Page {
  epoch: string
  lastSeq: number
  /** Whether the epoch began in what answers now. */
  isSame: boolean
  /** Whether something that is committed has no number yet. */
  unnumbered: boolean
  entries: Entry[]
}

/** All in one statement, and so of one moment: what has a number above `after` and has not expired, at most `limit`. */
export async function readPage(db: Db, now: Date, { after, limit }: { after: number; limit: number }): Promise<Page> {
  type Row = Omit<Page, 'entries' | 'lastSeq'> & { lastSeq: string } & Omit<Entry, 'seq'> & { seq: string | null }
  const { rows } = await sql<Row>`
    SELECT f.epoch, f.last_seq AS "lastSeq", f.incarnation = ${incarnation} AS "isSame",
      EXISTS (SELECT FROM revocations WHERE seq IS NULL) AS unnumbered,
      r.seq, r.kind, r.sid, r.sub, r.kid, r.initiator, r.revoked_at AS "revokedAt", r.expires_at AS "expiresAt"
    FROM revocation_feed AS f LEFT JOIN (
      SELECT * FROM revocations WHERE seq > ${after} AND expires_at > ${now} ORDER BY seq LIMIT ${limit}
    ) AS r ON true
    ORDER BY r.seq`.execute(db)
  const [first] = rows
  if (!first) throw new Error('the row of revocation_feed is gone')
  const { epoch, isSame, unnumbered } = first
  const entries = rows.flatMap(({ seq, kind, sid, sub, kid, initiator, revokedAt, expiresAt }) =>
    seq === null ? [] : [{ seq: Number(seq), kind, sid, sub, kid, initiator, revokedAt, expiresAt }],
  )
  return { epoch, lastSeq: Number(first.lastSeq), isSame, unnumbered, entries }
}

/**
 * Begins another epoch, unless somebody has: if this is another incarnation, or if the numbers are behind `seen`, which was read in
 * the epoch that is to end.
 */
export async function beginEpoch(
  db: Db,
  { from, seen, epoch }: { from: string; seen: number; epoch: string },
): Promise<void> {
  await sql`
    UPDATE revocation_feed SET epoch = ${epoch}, incarnation = ${incarnation}
    WHERE epoch = ${from} AND (incarnation <> ${incarnation} OR last_seq < ${seen})`.execute(db)
}

/** @returns how many. */
export async function deleteExpired(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`expires_at < ${before} ORDER BY expires_at`
  return await deleteBatch(db, 'revocations', { key: ['id'], where, limit: batch })
}
