import { MINUTE } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteExpired } from './queries.ts'

/** Every token that it concerns has expired, or nobody has its key any more. A little later, so that a server whose clock is behind still lists it. */
export const pruneRevocations: Pruning = {
  table: 'revocations',
  remove: (db, now, batch) => deleteExpired(db, new Date(now.getTime() - MINUTE), batch),
}
