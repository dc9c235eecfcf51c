import { DAY } from '../../durations.ts'
import type { Pruning } from '../../prune.ts'
import { deleteExpiredCodes, deleteStaleCounts } from './queries.ts'

/** A day later than they expire, so that the log can tell an old link from an unknown one. */
export const pruneCodes: Pruning = {
  table: 'one_time_codes',
  remove: (db, now, batch) => deleteExpiredCodes(db, new Date(now.getTime() - DAY), batch),
}

export const pruneMailCounts: Pruning = {
  table: 'mail_counts',
  remove: (db, now, batch) => deleteStaleCounts(db, new Date(now.getTime() - DAY), batch),
}
