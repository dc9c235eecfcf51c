import { sql } from 'kysely'
import { expect, vi } from 'vitest'
import type { Db } from '../../src/db/schema.ts'

/** How many connections to this database wait for a lock, on whichever machine of a cluster. */
export async function countLockWaits(db: Db): Promise<number> {
  const { rows } = await sql<{ spread: boolean }>`SELECT to_regclass('pg_dist_node') IS NOT NULL AS spread`.execute(db)
  const here = `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
  const waiting = rows[0]?.spread
    ? sql<{ count: number }>`SELECT sum(result::int)::int AS count FROM run_command_on_all_nodes(${here})`
    : sql<{ count: number }>`${sql.raw(here)}`
  return (await waiting.execute(db)).rows[0]?.count ?? 0
}

/** Resolves when so many connections to this database wait for a lock. */
export async function waitForLocks(db: Db, count: number): Promise<void> {
  await vi.waitFor(async () => expect(await countLockWaits(db)).toBe(count), { interval: 10, timeout: 5000 })
}
