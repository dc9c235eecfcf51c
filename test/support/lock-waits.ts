import { sql } from 'kysely'
import { expect, vi } from 'vitest'
import type { Db } from '../../src/db/schema.ts'

/** Resolves when so many connections to this database wait for a lock. */
export async function waitForLocks(db: Db, count: number): Promise<void> {
  const waiting = sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
  await vi.waitFor(async () => expect((await waiting.execute(db)).rows).toHaveLength(count), { interval: 10 })
}
