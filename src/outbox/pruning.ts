import { DAY } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteDead } from './queries.ts'

/** Only dead letters wait here for long: an operator has 30 days to send them again. */
export const pruneOutbox: Pruning = {
  table: 'outbox',
  remove: (db, now, batch) => deleteDead(db, new Date(now.getTime() - 30 * DAY), batch),
}
