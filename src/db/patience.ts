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
 * promoted. Whatever the server does with it at the start is therefore retried, for a minute in all.
 * @param database `host:port/database`.
 * @throws Unreachable if it does not answer by then, or refuses the connection.
 */
export function patience(log: Log, database: string): <T>(work: () => Promise<T>) => Promise<T> {
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

/** A server whose role does not own the tables may start before the owner has migrated them. It waits, without limit. */
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
