import type pg from 'pg'
import { PLACEMENTS, type Placement } from '../../../src/db/placement.ts'
import { isNode, nodesOf, readTree, type TreeNode, type TreeValue } from './node-tree.ts'

export interface CatalogTable {
  name: string
  /** Where, in a cluster. */
  lies: Placement
  /** The number of its column `id`. */
  key: string
}

/** What the catalog says of the names in a tree. */
export interface Catalog {
  /** By oid; tables of the system are missing. */
  tables: ReadonlyMap<string, CatalogTable>
  /** The functions that are not immutable: `s` stable, `v` volatile. By oid. */
  mutable: ReadonlyMap<string, 's' | 'v'>
  /** The functions that read and write values of a type as text. By its oid. */
  textOf: ReadonlyMap<string, { input: string; output: string }>
  /** The operators named `=`. */
  equals: ReadonlySet<string>
}

export interface Analyst {
  catalog: Catalog
  /**
   * How PostgreSQL understands a statement. Nothing is executed.
   * @returns undefined for what is no query: `BEGIN`, `SET`, several statements in one text.
   * @throws the database's error, if the statement does not suit the schema.
   */
  analyse(text: string): Promise<TreeNode | undefined>
}

/** 42601 (`syntax_error`) is what `PREPARE` makes of everything that is no query. */
const NO_QUERY = '42601'

/** Of a function of PostgreSQL. */
const MOST_PARAMETERS = 100

/** @param client connected to a migrated database, as somebody who may have functions of his own in pg_temp. */
export async function createAnalyst(client: pg.ClientBase): Promise<Analyst> {
  const catalog = await readCatalog(client)
  return {
    catalog,
    analyse: async (text) => {
      if (!(await prepare(client, text))) return undefined
      try {
        return await treeOf(client, text)
      } finally {
        await client.query('ROLLBACK; DEALLOCATE inspected')
      }
    },
  }
}

/** @returns false for what is no query. */
async function prepare(client: pg.ClientBase, text: string): Promise<boolean> {
  // Of several statements in one text, the others would be executed; asked this way, PostgreSQL refuses them.
  const single = { text: `PREPARE inspected AS ${text}`, queryMode: 'extended' }
  return await client.query(single).then(
    () => true,
    (error: pg.DatabaseError) => {
      if (error.code === NO_QUERY) return false
      throw error
    },
  )
}

/** Of a prepared statement. A function is stored as the tree of its analysis; one that returns nothing may end with any statement. */
async function treeOf(client: pg.ClientBase, text: string): Promise<TreeNode | undefined> {
  const { rows: prepared } = await client.query<{ types: string[] }>(
    `SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = 'inspected'`,
  )
  const types = prepared[0]?.types ?? []
  const isTooLong = types.length > MOST_PARAMETERS
  const body = isTooLong ? text.replace(/\$(\d+)/g, (_, number) => `NULL::${types[Number(number) - 1]}`) : text
  await client.query(
    `BEGIN; CREATE FUNCTION pg_temp.inspected(${isTooLong ? '' : types.join()}) RETURNS void LANGUAGE sql BEGIN ATOMIC ${body}\n; END`,
  )
  const { rows } = await client.query<{ tree: string }>(
    `SELECT prosqlbody::text AS tree FROM pg_proc WHERE oid = 'pg_temp.inspected'::regproc`,
  )
  return queryIn(readTree(rows[0]?.tree ?? '<>'))
}

/** The body of a function is a list of lists of statements. */
function queryIn(value: TreeValue): TreeNode | undefined {
  if (isNode(value)) return value
  return Array.isArray(value) ? (nodesOf(value)[0] ?? queryIn(value[0])) : undefined
}

async function readCatalog(client: pg.ClientBase): Promise<Catalog> {
  const { rows: tables } = await client.query<{ oid: string; name: string; key: string }>(`
    SELECT oid::text, relname::text AS name,
      coalesce((SELECT attnum::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'id'), '') AS key
    FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`)
  const { rows: functions } = await client.query<{ oid: string; provolatile: 's' | 'v' }>(
    `SELECT oid::text, provolatile FROM pg_proc WHERE provolatile <> 'i'`,
  )
  const { rows: types } = await client.query<{ oid: string; input: string; output: string }>(
    'SELECT oid::text, typinput::oid::text AS input, typoutput::oid::text AS output FROM pg_type',
  )
  const { rows: operators } = await client.query<{ oid: string }>(
    `SELECT oid::text FROM pg_operator WHERE oprname = '='`,
  )
  const placements: Readonly<Record<string, Placement | undefined>> = PLACEMENTS
  return {
    tables: new Map(tables.map(({ oid, name, key }) => [oid, { name, key, lies: placements[name] ?? 'coordinator' }])),
    mutable: new Map(functions.map(({ oid, provolatile }) => [oid, provolatile])),
    textOf: new Map(types.map(({ oid, ...functionsOf }) => [oid, functionsOf])),
    equals: new Set(operators.map(({ oid }) => oid)),
  }
}
