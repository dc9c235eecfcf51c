import { DAY } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteExpiredIds } from './assertion/queries.ts'
import { deleteOldFailures } from './failure-queries.ts'

/** The longest back-off is an hour. */
export const pruneClientFailures: Pruning = {
  table: 'client_failures',
  remove: (db, now, batch) => deleteOldFailures(db, new Date(now.getTime() - DAY), batch),
}

export const pruneAssertionIds: Pruning = { table: 'assertion_ids', remove: deleteExpiredIds }
