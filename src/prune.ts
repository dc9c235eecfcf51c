import { setTimeout as sleep } from 'node:timers/promises'
import { deleteOld as deleteOldAudit } from './audit/queries.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config/config.ts'
import { deleteStaleFailures } from './credentials/attempt-queries.ts'
import type { Db } from './db/schema.ts'
import { deleteStaleWindows } from './http/limits/queries.ts'
import { deleteExpired } from './sessions/queries.ts'

const BATCH = 1000
const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Rows deleted, by table. */
export interface Pruned {
  families: number
  rate_limits: number
  login_failures: number
  audit: number
}

/**
 * Deletes what no rule needs any more, in small statements with pauses between, so that refreshes do not wait and
 * replicas that prune at the same time share the work (`SKIP LOCKED`).
 *
 * A family's row is needed until its absolute end: only then is every token of it refused for its age alone.
 */
export async function prune(deps: { db: Db; clock: Clock; config: Config }): Promise<Pruned> {
  const { db, config } = deps
  const now = deps.clock().getTime()
  const before = (milliseconds: number): Date => new Date(now - milliseconds)
  return {
    families: await inBatches((batch) => deleteExpired(db, before(HOUR), batch)),
    rate_limits: await inBatches((batch) => deleteStaleWindows(db, before(2 * HOUR), batch)),
    login_failures: await inBatches((batch) => deleteStaleFailures(db, before(30 * DAY), batch)),
    audit: await inBatches((batch) => deleteOldAudit(db, before(config.AUDIT_RETENTION_DAYS * DAY), batch)),
  }
}

async function inBatches(remove: (batch: number) => Promise<number>): Promise<number> {
  let total = 0
  for (;;) {
    const removed = await remove(BATCH)
    total += removed
    if (removed < BATCH) return total
    await sleep(20)
  }
}
