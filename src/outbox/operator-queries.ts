import type { Db, Tx } from '../db/schema.ts'

/** What operators see of a delivery: never what it carries. */
export interface Queued {
  id: string
  kind: string
  enqueuedAt: Date
  /** Attempts begun. */
  attempts: number
  /** When the attempt that is under way began. */
  takenAt: Date | null
  /** When the next attempt may begin. */
  dueAt: Date
  /** Why the last attempt failed. */
  lastFailure: string | null
  /** When it was given up. */
  deadAt: Date | null
}

const COLUMNS = [
  'id',
  'kind',
  'created_at as enqueuedAt',
  'attempts',
  'taken_at as takenAt',
  'due_at as dueAt',
  'last_failure as lastFailure',
  'dead_at as deadAt',
] as const

/** Those that wait, the longest first; then those that were given up, the last first. @param dead only these. */
export async function selectQueued(db: Db, { dead, limit }: { dead: boolean; limit: number }): Promise<Queued[]> {
  return await db
    .selectFrom('outbox')
    .select(COLUMNS)
    .$if(dead, (qb) => qb.where('dead_at', 'is not', null))
    .orderBy('dead_at', (order) => order.desc().nullsFirst())
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
}

export async function findQueued(db: Db, id: string): Promise<Queued | undefined> {
  return await db.selectFrom('outbox').select(COLUMNS).where('id', '=', id).executeTakeFirst()
}

/** Has deliveries begin anew, except those that are under way. @param id only this one. @returns how many. */
export async function beginAnew(tx: Tx, now: Date, id?: string): Promise<number> {
  const { numUpdatedRows } = await tx
    .updateTable('outbox')
    .set({ attempts: 0, due_at: now, dead_at: null })
    .where('taken_at', 'is', null)
    .$if(id !== undefined, (qb) => qb.where('id', '=', id ?? ''))
    .executeTakeFirst()
  return Number(numUpdatedRows)
}
