import { DAY } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteStaleFailures } from './counter-queries.ts'
import { deleteStaleSprays } from './spray-queries.ts'
import { SPRAY_WINDOW_MS } from './sprays.ts'

export const pruneFailures: Pruning = {
  table: 'login_failures',
  remove: (db, now, batch) => deleteStaleFailures(db, new Date(now.getTime() - 30 * DAY), batch),
}

export const pruneSprays: Pruning = {
  table: 'login_sprays',
  remove: (db, now, batch) => deleteStaleSprays(db, { before: new Date(now.getTime() - SPRAY_WINDOW_MS), now }, batch),
}
