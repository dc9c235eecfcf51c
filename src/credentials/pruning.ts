import { DAY } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteStaleFailures } from './attempt-queries.ts'

export const pruneFailures: Pruning = {
  table: 'login_failures',
  remove: (db, now, batch) => deleteStaleFailures(db, new Date(now.getTime() - 30 * DAY), batch),
}
