import type { Clock } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import { DAY } from '../../durations.ts'
import * as queries from './queries.ts'

/** What a verifier says of itself. */
export interface Receipt {
  /** Which process of the service it is; unique among them. */
  instance: string
  epoch: string
  seq: number
  kids: string[]
}

/** More than a service runs of one kind; beyond, who has been silent the longest makes room. */
export const MOST_INSTANCES = 100
/** How long a report counts for anything. */
export const KEPT_MS = DAY

/**
 * Notes it as it is, however absurd: what is to be made of it depends on where the feed is when somebody asks. Of one
 * instance one report a second is written, over all replicas; the next one says as much or more.
 */
export async function takeReceipt(
  { db, clock }: { db: Db; clock: Clock },
  clientId: string,
  receipt: Receipt,
): Promise<void> {
  await queries.writeReport(db, { ...receipt, clientId, reportedAt: clock() }, MOST_INSTANCES)
}
