import type { Db } from '../db/schema.ts'
import { type PastEvent, selectOfFamily } from './queries.ts'

export type { PastEvent }

const MOST = 1000

/** The events about one family, oldest first. */
export async function historyOfFamily(db: Db, familyId: string): Promise<PastEvent[]> {
  return await selectOfFamily(db, familyId, MOST)
}
