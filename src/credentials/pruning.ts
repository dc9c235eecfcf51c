import { DAY } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteStaleFailures } from './counter-queries.ts'

export const pruneFailures: Pruning = {
  table: 'login_failures',
  remove: (db, now, batch) => deleteStaleFailures(db, new Date(now.getTime() - 30 * DAY), batch),
}
