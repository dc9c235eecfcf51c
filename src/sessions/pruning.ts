import type { Db } from '../db/schema.ts'
import { DAY, HOUR } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { countExpired, deleteExpired } from './prune-queries.ts'

/** A row is needed until the absolute end of its family. Only then would every token of it be refused for its age alone. */
export const pruneFamilies: Pruning = {
  table: 'families',
  remove: (db, now, batch) => deleteExpired(db, new Date(now.getTime() - HOUR), batch),
}

const MOST_OVERDUE = 10_001

/** How many families should have been pruned long ago, counted up to 10,001. */
export async function countOverdue(db: Db, now: Date): Promise<number> {
  return await countExpired(db, new Date(now.getTime() - DAY), MOST_OVERDUE)
}
