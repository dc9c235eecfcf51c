import { HOUR } from '../../durations.ts'
import type { Pruning } from '../../prune.ts'
import { deleteStaleWindows } from './queries.ts'

/** The longest window is an hour. */
export const pruneWindows: Pruning = {
  table: 'rate_limits',
  remove: (db, now, batch) => deleteStaleWindows(db, new Date(now.getTime() - 2 * HOUR), batch),
}
