import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

// The trail as `sessions why` reads it: one row as it is, oldest first.
export { type AuditRow, historyOfFamily } from '../audit/queries.ts'

/** A session as its row has it, ended or not. */
export interface FamilyRecord {
  userId: string
  email: string
  clientId: string
  createdAt: Date
  rotatedAt: Date
  expiresAt: Date
  idleSeconds: number
  endedAt: Date | null
  endCause: string | null
}

export async function findFamily(db: Db, id: string): Promise<FamilyRecord | undefined> {
  return await db
    .selectFrom('families as f')
    .innerJoin('users as u', 'u.id', 'f.user_id')
    .where('f.id', '=', id)
    .select([
      'f.user_id as userId',
      'u.email',
      'f.client_id as clientId',
      'f.created_at as createdAt',
      'f.rotated_at as rotatedAt',
      'f.expires_at as expiresAt',
      'f.idle_seconds as idleSeconds',
      'f.ended_at as endedAt',
      'f.end_cause as endCause',
    ])
    .executeTakeFirst()
}

export interface LiveSession extends Omit<FamilyRecord, 'endedAt' | 'endCause'> {
  id: string
  userAgent: string | null
  address: string | null
}

/** Of one user, or of all; last used first. */
export async function liveSessions(
  db: Db,
  now: Date,
  filter: { userId: string | undefined; limit: number },
): Promise<LiveSession[]> {
  return await db
    .selectFrom('families as f')
    .innerJoin('users as u', 'u.id', 'f.user_id')
    .where('f.ended_at', 'is', null)
    .where('f.expires_at', '>', now)
    .where(sql<boolean>`f.rotated_at + f.idle_seconds * interval '1 second' > ${now}`)
    .$if(filter.userId !== undefined, (qb) => qb.where('f.user_id', '=', filter.userId as string))
    .select([
      'f.id',
      'f.user_id as userId',
      'u.email',
      'f.client_id as clientId',
      'f.created_at as createdAt',
      'f.rotated_at as rotatedAt',
      'f.expires_at as expiresAt',
      'f.idle_seconds as idleSeconds',
      'f.user_agent as userAgent',
      'f.address',
    ])
    .orderBy('f.rotated_at', 'desc')
    .orderBy('f.id', 'desc')
    .limit(filter.limit)
    .execute()
}

/** Of a user who may be gone. */
export async function emailOf(db: Db, userId: string): Promise<string | undefined> {
  return (await db.selectFrom('users').select('email').where('id', '=', userId).executeTakeFirst())?.email
}

export async function hasUsers(db: Db): Promise<boolean> {
  return (await db.selectFrom('users').select('id').limit(1).execute()).length > 0
}

export interface DatabaseFacts {
  role: string
  /** As `server_version_num`: 150004 is 15.4. */
  version: number
  standby: boolean
  /** Of this session, as of every new one. */
  readOnly: boolean
  /** `fsync` and `synchronous_commit`. */
  fsync: string
  synchronousCommit: string
  connections: number
  maxConnections: number
  /** Of those, kept for others than this role. */
  reservedConnections: number
  /** `CONNECTION LIMIT` of the role and of the database; null where there is none, or none that counts for the role. */
  roleConnections: number | null
  databaseConnections: number | null
  /** Seconds that the oldest open transaction of this database has been open. */
  oldestTransaction: number
}

export async function databaseFacts(db: Db): Promise<DatabaseFacts> {
  const { rows } = await sql<DatabaseFacts>`
    SELECT
      current_user::text AS role,
      current_setting('server_version_num')::int AS version,
      pg_is_in_recovery() AS standby,
      current_setting('transaction_read_only')::bool AS "readOnly",
      current_setting('fsync') AS fsync,
      current_setting('synchronous_commit') AS "synchronousCommit",
      current_setting('max_connections')::int AS "maxConnections",
      CASE WHEN rolsuper THEN 0 ELSE
        current_setting('superuser_reserved_connections')::int
          + coalesce(current_setting('reserved_connections', true)::int, 0)
      END AS "reservedConnections",
      CASE WHEN NOT rolsuper AND rolconnlimit >= 0 THEN rolconnlimit END AS "roleConnections",
      CASE WHEN NOT rolsuper AND datconnlimit >= 0 THEN datconnlimit END AS "databaseConnections",
      (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
      (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
        FROM pg_stat_activity WHERE datname = current_database()) AS "oldestTransaction"
    FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()`.execute(db)
  if (!rows[0]) throw new Error('the database said nothing of itself')
  return rows[0]
}

export interface FamilyTableFacts {
  updates: number
  /** Updates that touched no index. */
  hotUpdates: number
  live: number
  dead: number
  /** Of the table with its indexes. */
  bytes: number
  /** Expired for more than a day and still here; counted up to 10,001. */
  overdue: number
}

export async function familyTableFacts(db: Db, now: Date): Promise<FamilyTableFacts> {
  const { rows } = await sql<FamilyTableFacts>`
    SELECT
      n_tup_upd::float8 AS updates,
      n_tup_hot_upd::float8 AS "hotUpdates",
      -- The statistics are seconds late, and know nothing of a table that was restored: a few rows are counted instead.
      CASE WHEN counted > 10000 THEN greatest(n_live_tup, counted) ELSE counted END::float8 AS live,
      n_dead_tup::float8 AS dead,
      pg_total_relation_size(relid)::float8 AS bytes,
      (SELECT count(*)::int FROM (
        SELECT FROM families WHERE expires_at < ${now}::timestamptz - interval '1 day' LIMIT 10001
      ) AS old) AS overdue
    FROM pg_stat_user_tables,
      (SELECT count(*) AS counted FROM (SELECT FROM families LIMIT 10001) AS limited) AS few
    WHERE relid = 'families'::regclass`.execute(db)
  if (!rows[0]) throw new Error('there are no statistics of the table families')
  return rows[0]
}
