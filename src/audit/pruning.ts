import type { Config } from '../config/config.ts'
import { DAY } from '../durations.ts'
import type { Pruning } from '../prune.ts'
import { deleteOld } from './queries.ts'

export function pruneTrail({ AUDIT_RETENTION_DAYS: days }: Pick<Config, 'AUDIT_RETENTION_DAYS'>): Pruning {
  return {
    table: 'audit',
    remove: (db, now, batch) => deleteOld(db, new Date(now.getTime() - days * DAY), batch),
  }
}
