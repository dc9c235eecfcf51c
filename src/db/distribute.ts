import { sql } from 'kysely'
import { connect } from './connect.ts'
import { lockMigrations, outlastDeadlocks, planMigrations } from './migrate.ts'
import type { Migration } from './migration-files.ts'
import { freeCoordinatorTables, isDistributed, lockOneCopyOfUsers, readPlaces } from './placed.ts'
import { PLACEMENTS, type Placement } from './placement.ts'
import type { Db, Schema, Tx } from './schema.ts'

/** The database cannot be distributed as it is. Nothing was changed. The message says what to do about it. */
export class NotDistributable extends Error {
  override readonly name = 'NotDistributable'
}

export interface DistributeOptions {
  /** How many parts the families are divided into, once and for all. By default as Citus is set. */
  shards?: number | undefined
  /** Those that the schema must have. By default those of this version. */
  migrations?: readonly Migration[] | undefined
  /** Called before rows are copied, with about how many there are. */
  onCopy?: ((rows: { families: number; users: number }) => void) | undefined
}

export interface Distribution {
  /** The tables that this call has placed, in the order in which it did so. */
  placed: { table: keyof Schema; placement: Placement }[]
  /** How many shards the families have now. */
  shards: number
  /** Machines that hold shards. */
  workers: number
}

/**
 * Spreads the tables of a migrated database over the machines of a Citus cluster, as PLACEMENTS says, in one transaction. What
 * lies where it belongs is left alone, so it may be called again. Rows are copied, and cannot be written meanwhile: servers
 * answer 503 for the time.
 * @throws NotDistributable; the database's error. Nothing has been changed then.
 */
export async function distribute(databaseUrl: string, options: DistributeOptions = {}): Promise<Distribution> {
  const { shards, migrations, onCopy } = options
  const { db } = connect({ url: databaseUrl, size: 1, applicationName: 'claviger distribute', unhurried: true })
  try {
    const workers = await insistOnCluster(db)
    const pending = await planMigrations(db, migrations)
    if (pending.length > 0) {
      throw new NotDistributable(`the schema is not up to date (${pending.join(', ')}): run “claviger migrate” first`)
    }
    if (!(await isDistributed(db))) onCopy?.(await aboutHowMany(db))
    return await outlastDeadlocks(db, async (tx) => {
      await lockMigrations(tx)
      await oneConnectionPerMachine(tx)
      await freeCoordinatorTables(tx)
      const placed = await place(tx, shards)
      await lockOneCopyOfUsers(tx)
      return { ...placed, workers }
    })
  } finally {
    await db.destroy()
  }
}

/** As the planner knows it, because counting takes as long as reading. */
async function aboutHowMany(db: Db): Promise<{ families: number; users: number }> {
  const { rows } = await sql<{ families: number; users: number }>`
    SELECT max(reltuples) FILTER (WHERE oid = 'families'::regclass) AS families,
      max(reltuples) FILTER (WHERE oid = 'users'::regclass) AS users FROM pg_class`.execute(db)
  // -1 where nobody has looked yet.
  return { families: Math.max(0, rows[0]?.families ?? 0), users: Math.max(0, rows[0]?.users ?? 0) }
}

export const ONE_CONNECTION_PER_MACHINE = `citus.multi_shard_modify_mode = 'sequential'`

/** @returns the number of workers. */
async function insistOnCluster(db: Db): Promise<number> {
  const { rows: extensions } = await sql<{ installed: string | null }>`
    SELECT installed_version AS installed FROM pg_available_extensions WHERE name = 'citus'`.execute(db)
  if (!extensions[0]) {
    throw new NotDistributable('this PostgreSQL does not have the extension Citus: the database stays on one machine')
  }
  if (extensions[0].installed === null) {
    throw new NotDistributable(
      'Citus is installed here, but not in this database: CREATE EXTENSION citus, in the database of this name on every machine',
    )
  }
  type Node = { coordinator: boolean; host: string; port: number; shards: boolean; isHere: boolean }
  const { rows: nodes } = await sql<Node>`
    SELECT groupid = 0 AS coordinator, nodename AS host, nodeport AS port, shouldhaveshards AS shards,
      groupid = (SELECT groupid FROM pg_dist_local_group) AS "isHere"
    FROM pg_dist_node WHERE isactive AND noderole = 'primary'`.execute(db)
  if (!nodes.some(({ coordinator, isHere }) => coordinator && isHere)) {
    throw new NotDistributable(
      nodes.some(({ isHere }) => isHere)
        ? 'this is a worker: give DATABASE_URL of the coordinator'
        : 'the coordinator does not know the name that workers reach it by: SELECT citus_set_coordinator_host(‘name’, port)',
    )
  }
  const workers = nodes.filter((node) => node.shards).length
  if (workers === 0) {
    throw new NotDistributable('there are no workers: SELECT citus_add_node(‘name’, port) for each of them')
  }
  return workers
}

/**
 * Families refer to users. So that a transaction may look at the sessions of a user and then change the user, Citus must ask all
 * shards of a machine over one connection, not in parallel. Set for the database, because a pooler does not carry the settings of a
 * session. It takes effect with the next connection.
 */
async function oneConnectionPerMachine(tx: Tx): Promise<void> {
  const { rows } = await sql<{ name: string }>`SELECT quote_ident(current_database()) AS name`.execute(tx)
  await sql`ALTER DATABASE ${sql.raw(rows[0]?.name ?? '')} SET ${sql.raw(ONE_CONNECTION_PER_MACHINE)}`.execute(tx)
}

async function place(tx: Tx, shards: number | undefined): Promise<Omit<Distribution, 'workers'>> {
  // Families refer to users, and Citus checks such references only if users are everywhere.
  const order = { everywhere: 1, family: 2, coordinator: 3 }
  const tables = (Object.entries(PLACEMENTS) as [keyof Schema, Placement][]).toSorted(
    ([, a], [, b]) => order[a] - order[b],
  )
  const placed: Distribution['placed'] = []
  const places = await readPlaces(tx)
  for (const [table, placement] of tables) {
    const present = places?.[table]
    const isHere = present === 'coordinator' || present === 'taken in'
    if (present === placement || (isHere && placement === 'coordinator')) continue
    if (!isHere) throw new NotDistributable(`the table ${table} lies elsewhere than Claviger needs it (${present})`)
    if (placement === 'everywhere') await sql`SELECT create_reference_table(${table}::regclass)`.execute(tx)
    else {
      const count = shards === undefined ? sql`` : sql`, shard_count => ${shards}::int`
      await sql`SELECT create_distributed_table(${table}::regclass, 'id', 'hash', colocate_with => 'none' ${count})`.execute(
        tx,
      )
    }
    placed.push({ table, placement })
  }
  // What was copied stays here otherwise, out of sight, and would outlive its account. Those that refer to others go first.
  for (const { table } of placed.toReversed())
    await sql`SELECT truncate_local_data_after_distributing_table(${table}::regclass)`.execute(tx)
  const { rows } = await sql<{ shards: number }>`
    SELECT count(*)::int AS shards FROM pg_dist_shard WHERE logicalrelid = 'families'::regclass`.execute(tx)
  return { placed, shards: rows[0]?.shards ?? 0 }
}
