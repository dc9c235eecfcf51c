import type { Pruning } from '../../prune.ts'
import { deleteReports } from './queries.ts'
import { KEPT_MS } from './receipts.ts'

export const pruneVerifiers: Pruning = {
  table: 'verifiers',
  remove: (db, now, batch) => deleteReports(db, new Date(now.getTime() - KEPT_MS), batch),
}
