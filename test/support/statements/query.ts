import type { Catalog, CatalogTable } from './analyst.ts'
import { expressionsIn, hasColumn } from './mutability.ts'
import { childrenOf, isNode, nodesOf, type TreeNode, type TreeValue, wordOf } from './node-tree.ts'

/** A SELECT, INSERT, UPDATE, DELETE or MERGE within a statement, or all of it. */
export interface Query {
  command: 'select' | 'update' | 'insert' | 'delete' | 'merge'
  node: TreeNode
  /** Directly in its FROM, joins included, and the one that it writes to. */
  tables: readonly Table[]
  /** The one that it writes to. */
  target: Table | undefined
  /** Directly within it. */
  parts: readonly Query[]
  /** How the query around it uses it; undefined for the statement. */
  place: 'from' | 'lateral' | 'with' | 'expression' | undefined
  /** Whether it uses a column of a query around it. */
  isCorrelated: boolean
  /** Whether it asks for rows with the `id` of a family in a query around it. */
  followsKey: boolean
}

export interface Table extends Pick<CatalogTable, 'name' | 'lies'> {
  /** Its number in the query. */
  index: string
  /** Of a family: by what its id is given, one value or a list of them, and which. */
  given: { as: 'one' | 'list'; value: string } | undefined
  /** Of a family: whether its id is that of another one, of the same query or around it. */
  isJoinedByKey: boolean
}

const COMMANDS: Record<string, Query['command']> = { 1: 'select', 2: 'update', 3: 'insert', 4: 'delete', 5: 'merge' }

export function readQuery(node: TreeNode, catalog: Catalog, place?: Query['place']): Query {
  const conditions = conditionsOf(node.fields.jointree)
  const tables = nodesOf(node.fields.rtable).flatMap(({ fields }, position): Table[] => {
    const known = fields.rtekind === '0' ? catalog.tables.get(wordOf(fields.relid)) : undefined
    // Kind c is what ON CONFLICT calls EXCLUDED.
    if (!known || fields.relkind === 'c') return []
    return [
      {
        name: known.name,
        lies: known.lies,
        index: String(position + 1),
        ...keysOf(known, position + 1, conditions, catalog),
      },
    ]
  })
  return {
    command: COMMANDS[wordOf(node.fields.commandType)] ?? 'select',
    node,
    tables,
    target: tables.find(({ index }) => index === node.fields.resultRelation),
    parts: partsOf(node).map((part) => readQuery(part.node, catalog, part.place)),
    place,
    isCorrelated: usesColumnsAround(node, 0),
    followsKey: tables.some(({ lies, isJoinedByKey }) => lies === 'family' && isJoinedByKey),
  }
}

/** With those within it, itself first. */
export const all = (query: Query): Query[] => [query, ...query.parts.flatMap(all)]

/** Those of a query and of all within it. */
export const tablesWithin = (query: Query): Table[] => all(query).flatMap(({ tables }) => tables)

/** What all rows of a query's joins satisfy: the parts of its conditions that AND connects. */
function conditionsOf(value: TreeValue): TreeNode[] {
  if (Array.isArray(value)) return nodesOf(value).flatMap(conditionsOf)
  if (!isNode(value)) return []
  const { type, fields } = value
  if (type === 'FROMEXPR') return [...conditionsOf(fields.fromlist), ...conditionsOf(fields.quals)]
  if (type === 'JOINEXPR') return [fields.larg, fields.rarg, fields.quals].flatMap(conditionsOf)
  if (type === 'BOOLEXPR' && fields.boolop === 'and') return conditionsOf(fields.args)
  return type === 'RANGETBLREF' ? [] : [value]
}

function keysOf(
  { lies, key }: CatalogTable,
  index: number,
  conditions: readonly TreeNode[],
  { equals }: Catalog,
): Pick<Table, 'given' | 'isJoinedByKey'> {
  const none = { given: undefined, isJoinedByKey: false }
  if (lies !== 'family') return none
  const isKey = (node: TreeNode) =>
    node.type === 'VAR' &&
    node.fields.varattno === key &&
    node.fields.varlevelsup === '0' &&
    node.fields.varno === String(index)
  const found: Pick<Table, 'given' | 'isJoinedByKey'> = none
  return conditions.reduce((keys, { type, fields }) => {
    const sides = nodesOf(fields.args)
    const other = sides.find((side) => !isKey(side))
    if (!equals.has(wordOf(fields.opno)) || !sides.some(isKey) || !other) return keys
    if (other.type === 'VAR') return { ...keys, isJoinedByKey: keys.isJoinedByKey || other.fields.varattno === key }
    // A value that has to be looked up is known too late to find the shard by it.
    if (hasColumn(other) || expressionsIn(other).some((each) => each.type === 'SUBLINK')) return keys
    if (type === 'OPEXPR') return { ...keys, given: { as: 'one' as const, value: textOf(other) } }
    if (type === 'SCALARARRAYOPEXPR' && fields.useOr === 'true' && !keys.given)
      return { ...keys, given: { as: 'list' as const, value: textOf(other) } }
    return keys
  }, found)
}

/** Two expressions with the same text are of the same value. */
const textOf = (node: TreeNode): string =>
  JSON.stringify(node, (name, value: unknown) => (name === 'location' ? undefined : value))

interface Part {
  node: TreeNode
  place: Query['place']
}

/** The queries directly within one, wherever in it they stand. */
function partsOf(value: TreeValue, isWithin = false, place: Query['place'] = 'expression'): Part[] {
  if (!isNode(value)) return Array.isArray(value) ? value.flatMap((each) => partsOf(each, true, place)) : []
  if (isWithin && value.type === 'QUERY') return [{ node: value, place }]
  const here = PLACES[value.type]?.(value) ?? place
  return childrenOf(value).flatMap((child) => partsOf(child, true, here))
}

const PLACES: Record<string, (node: TreeNode) => Query['place']> = {
  RANGETBLENTRY: ({ fields }) => (fields.lateral === 'true' ? 'lateral' : 'from'),
  COMMONTABLEEXPR: () => 'with',
  SUBLINK: () => 'expression',
}

function usesColumnsAround(value: TreeNode, depth: number): boolean {
  if (value.type === 'VAR') return Number(value.fields.varlevelsup) > depth
  return childrenOf(value).some((child) => usesColumnsAround(child, depth + (child.type === 'QUERY' ? 1 : 0)))
}
