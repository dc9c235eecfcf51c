import { randomBytes } from 'node:crypto'
import type { Db } from '../../src/db/schema.ts'

/** As if this many accounts had just failed from a network. */
export async function haveFailedFrom(db: Db, prefix: string, now: Date, accounts: number): Promise<void> {
  const row = {
    accounts: Array.from({ length: accounts }, () => randomBytes(16)),
    failed_at: Array<Date>(accounts).fill(now),
    last_failed_at: now,
    shrunk_until: null,
  }
  await db
    .insertInto('login_sprays')
    .values({ prefix, ...row })
    .onConflict((oc) => oc.column('prefix').doUpdateSet(row))
    .execute()
}
