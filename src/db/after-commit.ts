import type { Tx } from './schema.ts'

const awaited = new WeakMap<Tx, Set<() => void>>()

/** Has something done when this transaction has been committed; nothing happens if it is rolled back. A function counts once. */
export function afterCommit(tx: Tx, act: () => void): void {
  const acts = awaited.get(tx) ?? new Set()
  awaited.set(tx, acts.add(act))
}

/** Called by whoever has committed the transaction. */
export function announceCommit(tx: Tx): void {
  for (const act of awaited.get(tx) ?? []) act()
}
