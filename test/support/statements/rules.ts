import type { Placement } from '../../../src/db/placement.ts'
import type { Catalog } from './analyst.ts'
import { callsStableOverColumn, choosesAmongMutable, expressionsIn, mutabilityWithin } from './mutability.ts'
import { nodesOf, type TreeNode, type TreeValue } from './node-tree.ts'
import { all, type Query, type Table, tablesWithin } from './query.ts'

/*
 * What a cluster of Citus does not run, or runs only by copying whole tables between its machines: planner/multi_router_planner.c,
 * recursive_planning.c and query_pushdown_planning.c there. The rules are plainer than the planner, and where they differ from it they
 * forbid more.
 */

export interface Rule {
  name: string
  /** What to write instead. */
  instead: string
  /** @param query each query of a statement. @param around those that it is within, the statement first; itself excluded. */
  isBrokenBy(query: Query, around: readonly Query[], catalog: Catalog): boolean
}

const areFamilies = ({ lies }: Table) => lies === 'family'
/** The tables that Citus plans for. */
const isKnown = ({ lies }: Table) => lies !== 'coordinator'
const lie = (where: readonly Placement[]) => (table: Table) => where.includes(table.lies)

/** Whether the rows of all families within it are of one, so that one machine can run it whole, as it is. */
function isOfOneFamily(query: Query): boolean {
  const families = tablesWithin(query).filter(areFamilies)
  const values = new Set(families.map(({ given }) => (given?.as === 'one' ? given.value : undefined)))
  return values.size === 1 && !values.has(undefined) && tablesWithin(query).every(lie(['family', 'everywhere']))
}

const runsOnOneMachine = (query: Query, around: readonly Query[]) => [...around, query].some(isOfOneFamily)

const writes = ({ command }: Query) => command !== 'select'
const within = (query: Query, test: (table: Table) => boolean) => tablesWithin(query).some(test)
/** What a query joins, subqueries in FROM included. What UNION and the like connect is not joined, and each part runs by itself. */
const sources = (query: Query): Table[] =>
  query.node.fields.setOperations
    ? []
    : [...query.tables, ...query.parts.filter(({ place }) => place === 'from' || place === 'lateral').flatMap(sources)]

/** INSERT asks for nothing. */
const asksFamilies = (query: Query): boolean =>
  all(query).some(({ command, tables }) => command !== 'insert' && tables.some(areFamilies))

const locksNamedFamilies = ({ node, tables }: Query): boolean =>
  nodesOf(node.fields.rowMarks).length > 0 && tables.some((table) => areFamilies(table) && table.given !== undefined)

/** What is computed from rows that are written. */
function judged({ node, command }: Query): TreeValue[] {
  const { jointree, targetList } = node.fields
  return command === 'update' ? [jointree, targetList] : [jointree]
}

const writesKnown = (query: Query) => writes(query) && sources(query).some(isKnown)

function conflictOf({ node }: Query): TreeNode | undefined {
  return nodesOf([node.fields.onConflict])[0]
}

const setsKey = (list: TreeValue) =>
  nodesOf(list).some(({ fields }) => fields.resname === 'id' && fields.resjunk !== 'true')

export const RULES: readonly Rule[] = [
  {
    name: 'no function over columns that is not immutable, where rows are written',
    instead:
      'compute the value in the program or turn the comparison round: $1 - rotated_at < idle_seconds * interval ‘1 second’ is immutable, rotated_at + interval is not, nor are to_json(…), now() in CASE or COALESCE, and an array as text',
    isBrokenBy: (query, _around, catalog) =>
      writesKnown(query) &&
      judged(query).some((each) => callsStableOverColumn(each, catalog) || choosesAmongMutable(each, catalog)),
  },
  {
    name: 'nothing volatile where rows are changed or deleted',
    instead: 'pass what is random, or the time, as a parameter',
    isBrokenBy: (query, _around, catalog) =>
      writesKnown(query) &&
      query.command !== 'insert' &&
      Object.entries(query.node.fields).some(
        ([name, value]) => name !== 'cteList' && mutabilityWithin(value, catalog) === 'v',
      ),
  },
  {
    name: 'only immutable functions in RETURNING',
    instead: 'return the columns and compute in the program',
    isBrokenBy: (query, _around, catalog) =>
      writesKnown(query) && mutabilityWithin(query.node.fields.returningList, catalog) !== 'i',
  },
  {
    name: 'only immutable functions in ON CONFLICT',
    instead:
      'compute the value in the program and pass it, or add numbers instead of times: to_timestamp($1::float8 + …)',
    isBrokenBy: (query, _around, catalog) => {
      const { onConflictSet, arbiterWhere, onConflictWhere } = conflictOf(query)?.fields ?? {}
      return (
        writesKnown(query) &&
        [onConflictSet, arbiterWhere, onConflictWhere].some((each) => mutabilityWithin(each, catalog) !== 'i')
      )
    },
  },
  {
    name: 'no subquery among the values of an INSERT',
    instead: 'INSERT … SELECT',
    isBrokenBy: (query) =>
      query.command === 'insert' &&
      query.tables.some(isKnown) &&
      expressionsIn(query.node.fields.targetList).some(({ type }) => type === 'SUBLINK'),
  },
  {
    name: 'no MERGE',
    instead: 'INSERT … ON CONFLICT',
    isBrokenBy: (query) => query.command === 'merge' && within(query, isKnown),
  },
  {
    name: 'the id of a family never changes',
    instead: 'delete the row and insert another',
    isBrokenBy: (query) =>
      query.target?.lies === 'family' &&
      (query.command === 'update'
        ? setsKey(query.node.fields.targetList)
        : setsKey(conflictOf(query)?.fields.onConflictSet)),
  },
  {
    name: 'rows are locked where they are of one family, or of families in one shard',
    instead:
      'say WHERE id = $n, or id = ANY($n) with a list that the program keeps within one shard (src/db/shards.ts); else read without a lock and repeat the condition in the statement that writes',
    isBrokenBy: (query) =>
      nodesOf(query.node.fields.rowMarks).length > 0 &&
      !isOfOneFamily(query) &&
      (query.parts.some((part) => part.place !== 'with' && within(part, areFamilies)) ||
        query.tables.some((table) => areFamilies(table) && !table.given)),
  },
  {
    name: 'where families are locked by their ids, each mention of families names the ids',
    instead:
      'repeat f.id = ANY($n) beside the join: without it every shard is asked, and one machine that is away fails the sessions of all',
    isBrokenBy: (query, around) =>
      around.length === 0 &&
      all(query).some(locksNamedFamilies) &&
      all(query).some(
        ({ command, tables }) => command !== 'insert' && tables.some((each) => areFamilies(each) && !each.given),
      ),
  },
  {
    name: 'no recursion in a statement that writes, nor over several families',
    instead: 'a function in PL/pgSQL that loops, as users_hash_parameters does, or several statements',
    isBrokenBy: (query, around) =>
      query.node.fields.hasRecursive === 'true' &&
      within(around[0] ?? query, isKnown) &&
      (all(around[0] ?? query).some(writes) || (within(query, areFamilies) && !runsOnOneMachine(query, around))),
  },
  {
    name: 'families are joined to nothing but users, and to themselves by id',
    instead: 'ask for the rows of the other table in a statement of its own, or in a common table expression',
    isBrokenBy: (query, around) => {
      const here = sources(query)
      const families = here.filter(areFamilies)
      return (
        families.length > 0 &&
        !(query.command === 'insert') &&
        (here.some(lie(['coordinator'])) ||
          (families.length > 1 &&
            !families.some(({ isJoinedByKey }) => isJoinedByKey) &&
            !runsOnOneMachine(query, around)))
      )
    },
  },
  {
    name: 'users are changed and deleted by what they themselves say',
    instead: 'ask for their ids first, then name them: WHERE id = ANY($n)',
    isBrokenBy: (query) =>
      query.target?.lies === 'everywhere' &&
      query.command !== 'insert' &&
      (sources(query).some(lie(['coordinator', 'family'])) || query.parts.some(asksFamilies)),
  },
  {
    name: 'families are named by their id, never by ctid',
    instead: 'WHERE id = …: each shard has rows with the same ctid',
    isBrokenBy: (query) =>
      query.target?.lies === 'family' &&
      expressionsIn(query.node.fields.jointree).some(({ type, fields }) => type === 'VAR' && fields.varattno === '-1'),
  },
  {
    name: 'a correlated subquery asks for families by their id, and beside families for users only',
    instead: 'a join with users, a common table expression that groups, or two statements',
    isBrokenBy: (query, around) => {
      if (!query.isCorrelated || around.some(isOfOneFamily)) return false
      const outside = around.flatMap(({ tables }) => tables)
      const isOfFamilies = within(query, areFamilies)
      if (query.place === 'lateral')
        return isOfFamilies || (outside.some(areFamilies) && tablesWithin(query).length > 0)
      if (isOfFamilies) return !query.followsKey || !outside.some(areFamilies)
      return around.at(-1)?.tables.some(areFamilies) === true && within(query, lie(['coordinator']))
    },
  },
  {
    name: 'a subquery over families has a column',
    instead: 'SELECT 1 FROM families …',
    isBrokenBy: (query, around) =>
      query.place !== undefined &&
      query.command === 'select' &&
      query.tables.some(areFamilies) &&
      nodesOf(query.node.fields.targetList).length === 0 &&
      !around.some(isOfOneFamily),
  },
]

export interface Fault {
  rule: string
  instead: string
}

/** Every rule that a statement breaks, once. */
export function judge(statement: Query, catalog: Catalog): Fault[] {
  if (!within(statement, isKnown)) return []
  const broken = (query: Query, around: readonly Query[]): Rule[] => [
    ...RULES.filter((rule) => rule.isBrokenBy(query, around, catalog)),
    ...query.parts.flatMap((part) => broken(part, [...around, query])),
  ]
  return [...new Set(broken(statement, []))].map(({ name, instead }) => ({ rule: name, instead }))
}
