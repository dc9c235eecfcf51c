import { record } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { beginAnew, findQueued, type Queued, selectQueued } from './operator-queries.ts'

export type { Queued }

/** What is in the outbox. @param filter.dead only what was given up. */
export async function listDeliveries(
  db: Db,
  { dead, limit }: { dead: boolean; limit: number },
): Promise<{ deliveries: Queued[]; more: boolean }> {
  const found = await selectQueued(db, { dead, limit: limit + 1 })
  return { deliveries: found.slice(0, limit), more: found.length > limit }
}

/**
 * Has a delivery tried again at once, whether it was given up or waits, with as many attempts before it as at first. One
 * that is being handed over is left alone, so that it does not go out twice.
 */
export async function retryDelivery(
  deps: { db: Db },
  operation: Operation,
  id: string,
): Promise<'retried' | 'under_way' | 'unknown'> {
  return await transact(deps.db, async (tx) => {
    if ((await beginAnew(tx, operation.now, id)) === 0) return (await findQueued(tx, id)) ? 'under_way' : 'unknown'
    await record(tx, operation, {
      type: 'delivery.retried',
      outcome: 'success',
      details: { deliveries: 1, delivery: id },
    })
    return 'retried'
  })
}

/** The same of all. @returns how many. */
export async function retryDeliveries(deps: { db: Db }, operation: Operation): Promise<number> {
  return await transact(deps.db, async (tx) => {
    const deliveries = await beginAnew(tx, operation.now)
    if (deliveries > 0) {
      await record(tx, operation, { type: 'delivery.retried', outcome: 'success', details: { deliveries } })
    }
    return deliveries
  })
}
