import { sql } from 'kysely'
import { PLACEMENTS } from './placement.ts'
import type { Db, Schema } from './schema.ts'
import { readShards } from './shards.ts'

export interface DatabaseFacts {
  role: string
  /** As `server_version_num`: 150004 is 15.4. */
  version: number
  standby: boolean
  /** Whether this session is read-only, as every new one would be. */
  readOnly: boolean
  /** `fsync` and `synchronous_commit`. */
  fsync: string
  synchronousCommit: string
  connections: number
  maxConnections: number
  /** How many of those are reserved for other roles. */
  reservedConnections: number
  /** `CONNECTION LIMIT` of the role and of the database; null if there is none, or if it does not apply to the role. */
  roleConnections: number | null
  databaseConnections: number | null
  /** Seconds that the oldest open transaction of this database has been open. */
  oldestTransaction: number
}

/** What PostgreSQL says about itself, this database and the role. */
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

export interface HostFacts {
  standby: boolean
  /** Whether this session is read-only, as every new one would be. */
  readOnly: boolean
  /** The same at all addresses of one server, and different at any two servers. */
  started: string
}

export async function hostFacts(db: Db): Promise<HostFacts> {
  const { rows } = await sql<HostFacts>`
    SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::bool AS "readOnly",
      pg_postmaster_start_time()::text AS started`.execute(db)
  if (!rows[0]) throw new Error('the database said nothing of itself')
  return rows[0]
}

export interface TableFacts {
  updates: number
  /** Updates that touched no index. */
  hotUpdates: number
  live: number
  dead: number
  /** Size of the table with its indexes. */
  bytes: number
}

/** Of a table, on however many machines its parts lie. */
export async function tableFacts(db: Db, table: keyof Schema): Promise<TableFacts> {
  // The statistics are seconds late, and know nothing of a table that was restored: a few rows are counted instead.
  const { rows: few } = await sql<{ counted: number }>`
    SELECT count(*)::int AS counted FROM (SELECT 1 FROM ${sql.table(table)} LIMIT 10001) AS limited`.execute(db)
  const counted = few[0]?.counted ?? 0
  const isDivided = PLACEMENTS[table] === 'family' && (await readShards(db)).isDivided()
  const { live, ...facts } = isDivided ? await factsOfShards(db, table) : await factsHere(db, table)
  return { ...facts, live: counted > 10_000 ? Math.max(live, counted) : counted }
}

const STATISTICS = `n_tup_upd::float8 AS updates, n_tup_hot_upd::float8 AS "hotUpdates", n_live_tup::float8 AS live,
  n_dead_tup::float8 AS dead, pg_total_relation_size(relid)::float8 AS bytes`

async function factsHere(db: Db, table: keyof Schema): Promise<TableFacts> {
  const { rows } = await sql<TableFacts>`
    SELECT ${sql.raw(STATISTICS)} FROM pg_stat_user_tables WHERE relid = ${table}::regclass`.execute(db)
  if (!rows[0]) throw new Error(`there are no statistics of the table ${table}`)
  return rows[0]
}

/** Each part is asked, where it lies. */
async function factsOfShards(db: Db, table: keyof Schema): Promise<TableFacts> {
  const ofShard = `SELECT to_json(s) FROM (SELECT ${STATISTICS} FROM pg_stat_user_tables WHERE relid = '%s'::regclass) AS s`
  const { rows } = await sql<{ success: boolean; result: string }>`
    SELECT success, result FROM run_command_on_shards(${table}::regclass, ${ofShard})`.execute(db)
  const silent = rows.find(({ success }) => !success)
  if (silent) throw new Error(`a part of ${table} cannot be asked: ${silent.result}`)
  const parts = rows.map(({ result }) => JSON.parse(result) as TableFacts)
  const sum = (name: keyof TableFacts) => parts.reduce((total, part) => total + part[name], 0)
  return {
    updates: sum('updates'),
    hotUpdates: sum('hotUpdates'),
    live: sum('live'),
    dead: sum('dead'),
    bytes: sum('bytes'),
  }
}
