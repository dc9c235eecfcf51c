import type { Catalog } from './analyst.ts'
import { childrenOf, isNode, type TreeNode, type TreeValue, wordOf } from './node-tree.ts'

/** How an expression may change while its arguments do not: never, between statements (`s`), at any time (`v`). */
export type Mutability = 'i' | 's' | 'v'

/** Where a node names the function that it calls. */
const FUNCTION_FIELDS = ['funcid', 'opfuncid', 'aggfnoid', 'winfnoid'] as const

/** Where a node says of which type its value is. */
const TYPE_FIELDS = [
  'vartype',
  'consttype',
  'paramtype',
  'funcresulttype',
  'opresulttype',
  'resulttype',
  'casetype',
  'coalescetype',
  'array_typeid',
  'minmaxtype',
  'aggtype',
  'wintype',
  'refrestype',
  'refelemtype',
] as const

/** Of what the node itself calls, as `contain_mutable_functions` of PostgreSQL judges it. */
function mutabilityOf({ type, fields }: TreeNode, { mutable, textOf }: Catalog): Mutability {
  if (type === 'NEXTVALUEEXPR') return 'v'
  // CURRENT_TIMESTAMP and the like.
  if (type === 'SQLVALUEFUNCTION') return 's'
  if (type === 'COERCEVIAIO') {
    const from = textOf.get(typeOf(fields.arg))?.output ?? ''
    const to = textOf.get(wordOf(fields.resulttype))?.input ?? ''
    // What is not known might be anything.
    return from === '' ? 's' : strongest(mutable.get(from) ?? 'i', mutable.get(to) ?? 'i')
  }
  return FUNCTION_FIELDS.map((field) => mutable.get(wordOf(fields[field])) ?? 'i').reduce(strongest)
}

const strongest = (a: Mutability, b: Mutability): Mutability => (a > b ? a : b)

function typeOf(value: TreeValue): string {
  const fields = isNode(value) ? value.fields : {}
  return wordOf(TYPE_FIELDS.map((name) => fields[name]).find((type) => type !== undefined))
}

/** Of everything in an expression, its subqueries included. */
export function mutabilityWithin(value: TreeValue, catalog: Catalog): Mutability {
  const own = isNode(value) ? mutabilityOf(value, catalog) : 'i'
  return childrenOf(value)
    .map((child) => mutabilityWithin(child, catalog))
    .reduce(strongest, own)
}

/** A call that is not immutable and is given a column, not counting what happens in subqueries. */
export function callsStableOverColumn(value: TreeValue, catalog: Catalog): boolean {
  return expressionsIn(value).some((node) => mutabilityOf(node, catalog) !== 'i' && hasColumn(node))
}

/** CASE and COALESCE, of which a part may not be evaluated, with a call that is not immutable. */
export function choosesAmongMutable(value: TreeValue, catalog: Catalog): boolean {
  return expressionsIn(value).some(
    (node) => (node.type === 'COALESCEEXPR' || node.type === 'CASEEXPR') && mutabilityWithin(node, catalog) !== 'i',
  )
}

export const hasColumn = (value: TreeValue): boolean => expressionsIn(value).some(({ type }) => type === 'VAR')

/** Every node of an expression, itself included, but not what is within subqueries. */
export function expressionsIn(value: TreeValue): TreeNode[] {
  const own = isNode(value) ? [value] : []
  const children = own[0]?.type === 'QUERY' ? [] : childrenOf(value)
  return [...own, ...children.flatMap(expressionsIn)]
}
