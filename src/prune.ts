import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from './clock.ts'
import type { Db } from './db/schema.ts'

/** The retention of one table: what its owner deletes, and when. */
export interface Pruning {
  table: string
  /** Deletes a batch of the rows that no rule needs any more. @returns how many. */
  remove(db: Db, now: Date, batch: number): Promise<number>
}

const BATCH = 1000

/**
 * Deletes what has expired, in small statements with pauses between, so that refreshes do not wait.
 * @returns rows deleted, by table.
 */
export async function prune(
  { db, clock }: { db: Db; clock: Clock },
  prunings: readonly Pruning[],
): Promise<Record<string, number>> {
  const now = clock()
  const deleted: Record<string, number> = {}
  for (const { table, remove } of prunings) deleted[table] = await inBatches((batch) => remove(db, now, batch))
  return deleted
}

async function inBatches(remove: (batch: number) => Promise<number>): Promise<number> {
  let total = 0
  for (;;) {
    const removed = await remove(BATCH)
    total += removed
    if (removed < BATCH) return total
    await sleep(20)
  }
}
