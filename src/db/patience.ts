import type { Log } from '../log.ts'
import { cannotWrite, isTurnedAway, isUnavailable } from './errors.ts'
import { MayNotMigrate, migrate } from './migrate.ts'
import { explainRefusal } from './refusals.ts'
import { reasonOf, Unreachable } from './unreachable.ts'

const DATABASE_WAIT_MS = 60_000
const LOOK_AGAIN_MS = 1000
const SAY_AGAIN_MS = 30_000

/**
 * Containers start in any order: the database may come up after this process, or still be a standby that is about to be
 * promoted. What is done with it at the start is tried again for a minute in all.
 * @param database `host:port/database`.
 * @throws Unreachable, where it does not answer, or not to us.
 */
export function patience(log: Log, database: string): (work: () => Promise<void>) => Promise<void> {
  const giveUpAt = performance.now() + DATABASE_WAIT_MS
  return async (work) => {
    for (let attempt = 1, wait = 100; ; attempt++, wait = Math.min(wait * 2, 3000)) {
      try {
        return await work()
      } catch (error) {
        if (isTurnedAway(error) || explainRefusal(error) !== undefined) throw new Unreachable(database, error)
        if (!isUnavailable(error)) throw error
        if (performance.now() + wait > giveUpAt) throw new Unreachable(database, error)
        const facts = { database, reason: reasonOf(error), attempt, retryInMs: wait }
        if (cannotWrite(error)) log.warn(facts, 'the database takes no writes yet')
        else log.warn(facts, 'the database does not answer yet')
        await new Promise((resolve) => setTimeout(resolve, wait))
      }
    }
  }
}

/** A role that only serves may start before the owner of the tables has migrated them. That may take as long as it takes. */
export async function migrateOrWait(log: Log, databaseUrl: string): Promise<string[]> {
  for (let sayAt = 0; ; ) {
    try {
      return await migrate(databaseUrl)
    } catch (error) {
      if (!(error instanceof MayNotMigrate)) throw error
      if (performance.now() >= sayAt) {
        log.warn({ reason: error.message }, 'the schema is not up to date: waiting until its owner has migrated it')
        sayAt = performance.now() + SAY_AGAIN_MS
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
    }
  }
}
