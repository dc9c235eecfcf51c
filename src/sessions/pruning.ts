import type { Db } from '../db/schema.ts'
import { countExpired } from './queries.ts'

const DAY = 86_400_000
const MOST = 10_001

/** How many families should have been pruned long ago, counted up to 10,001. */
export async function countOverdue(db: Db, now: Date): Promise<number> {
  return await countExpired(db, new Date(now.getTime() - DAY), MOST)
}
