import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { numberCommitted, tryNumberingLock } from './queries.ts'

/** What is numbered in one transaction, so that nobody waits long for its connection. */
const BATCH = 1000

export interface NumberingDeps {
  refreshDb: Db
  clock: Clock
  config: Pick<Config, 'ACCESS_TOKEN_SECONDS'>
}

/**
 * Gives the next numbers to revocations that are committed, oldest first. One server at a time: whoever finds another one at it
 * leaves it to that one. Numbers given in the transactions that revoke would be read out of order, because these commit when they
 * like: a reader that has seen 8 would never look for 7.
 * @returns the moment up to which everything that was committed has a number; undefined if there is more, or another server is at it.
 */
export async function numberBatch({ refreshDb, clock, config }: NumberingDeps): Promise<Date | undefined> {
  const asked = clock()
  const numbered = await transact(refreshDb, async (tx) => {
    if (!(await tryNumberingLock(tx))) return undefined
    return await numberCommitted(tx, asked, { tokenSeconds: config.ACCESS_TOKEN_SECONDS, limit: BATCH })
  })
  return numbered !== undefined && numbered < BATCH ? asked : undefined
}
