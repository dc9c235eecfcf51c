/**
 * PostgreSQL's trees of analysed statements, as the catalog stores them (`pg_node_tree`, written by outfuncs.c):
 * `{OPEXPR :opfuncid 1189 :args ({VAR :varno 1 …} {CONST …})}`. Versions differ in the fields that a node has, never in this form.
 */
export interface TreeNode {
  /** As PostgreSQL writes it, such as `OPEXPR`. */
  type: string
  fields: Readonly<Record<string, TreeValue>>
}

/** Undefined for `<>`, nothing. Numbers, names and flags stay text. */
export type TreeValue = TreeNode | TreeValue[] | string | undefined

export function readTree(text: string): TreeValue {
  // A backslash makes any letter a part of a word.
  const tokens = text.match(/[(){}]|(?:\\[\s\S]|[^\s(){}\\])+/g) ?? []
  let at = 0

  const readList = (): TreeValue[] => {
    const list: TreeValue[] = []
    while (tokens[at] !== ')') list.push(readValue())
    at++
    return list
  }
  const readNode = (): TreeNode => {
    const type = tokens[at++] ?? ''
    const fields: Record<string, TreeValue> = {}
    while (tokens[at] !== '}') {
      const name = (tokens[at++] ?? '').slice(1)
      fields[name] = readValue()
      // The bytes of a constant follow its length. Nothing here depends on them.
      while (tokens[at] !== '}' && !tokens[at]?.startsWith(':')) at++
    }
    at++
    return { type, fields }
  }
  const readValue = (): TreeValue => {
    const token = tokens[at++]
    if (token === undefined) throw new Error('a tree of PostgreSQL ends early')
    if (token === '{') return readNode()
    if (token === '(') return readList()
    if (token === '<>') return undefined
    return token.replace(/^"(.*)"$/s, '$1').replace(/\\(.)/gs, '$1')
  }
  return readValue()
}

export function isNode(value: TreeValue): value is TreeNode {
  return typeof value === 'object' && !Array.isArray(value)
}

/** A number, name or flag; empty for what is none. */
export const wordOf = (value: TreeValue): string => (typeof value === 'string' ? value : '')

/** The nodes of a list, or of nothing. */
export function nodesOf(value: TreeValue): TreeNode[] {
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** The nodes directly beneath a value. */
export function childrenOf(value: TreeValue): TreeNode[] {
  if (isNode(value)) return Object.values(value.fields).flatMap((each) => (isNode(each) ? [each] : childrenOf(each)))
  return Array.isArray(value) ? value.flatMap((each) => (isNode(each) ? [each] : childrenOf(each))) : []
}
