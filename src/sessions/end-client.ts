import type { Clock } from '../clock.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { AppendDeps } from '../revocations/append.ts'
import { endOne } from './end.ts'
import { endableOfClient } from './end-queries.ts'

const BATCH = 200
const LOWEST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Ends every live family of a client, one batch per transaction, so that sign-ins and refreshes of others go on meanwhile. The
 * caller has seen to it that no other one begins.
 * @returns how many.
 */
export async function endSessionsOfClient(
  deps: AppendDeps & { db: Db; clock: Clock },
  operation: Operation,
  clientId: string,
): Promise<number> {
  let ended = 0
  for (let after: string | undefined = LOWEST_ID; after !== undefined; ) {
    const step = { ...operation, now: deps.clock() }
    const batch = { clientId, after, limit: BATCH }
    const done = await transact(deps.db, async (tx) => {
      const families = await endableOfClient(tx, step.now, batch)
      let count = 0
      for (const { id, userId } of families) {
        if (await endOne(tx, deps, step, { id, userId, cause: 'client_disabled' })) count++
      }
      return { count, last: families.length < BATCH ? undefined : families.at(-1)?.id }
    })
    ended += done.count
    after = done.last
  }
  return ended
}
