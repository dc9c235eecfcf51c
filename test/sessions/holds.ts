import type { Kysely } from 'kysely'
import { setAside } from '../../src/db/pools.ts'
import type { Schema } from '../../src/db/schema.ts'
import type { TestApp } from '../support/app.ts'

/** Something that is held until it is let go. */
export interface Hold {
  release: () => Promise<void>
}

type Take = (until: Promise<void>, taken: () => void) => Promise<unknown>

async function hold(take: Take): Promise<Hold> {
  const [until, taken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const done = take(until.promise, taken.resolve)
  await Promise.race([taken.promise, done])
  return {
    release: async () => {
      until.resolve()
      await done
    },
  }
}

/** The row of a family. */
export const holdRow = (db: Kysely<Schema>, sid: string): Promise<Hold> =>
  hold((until, taken) =>
    db.transaction().execute(async (tx) => {
      await tx.selectFrom('families').select('id').where('id', '=', sid).forUpdate().execute()
      taken()
      await until
    }),
  )

/** The counters of a limit: whoever has to ask them waits. */
export const holdCounters = (db: Kysely<Schema>, policy: string): Promise<Hold> =>
  hold((until, taken) =>
    db.transaction().execute(async (tx) => {
      await tx.selectFrom('rate_limits').select('key').where('policy', '=', policy).forUpdate().execute()
      taken()
      await until
    }),
  )

/** Every connection that refreshes have. */
export async function holdConnections(t: TestApp): Promise<Hold> {
  const holds = await Promise.all(
    Array.from({ length: setAside(t.config.DATABASE_POOL_SIZE) }, () =>
      hold((until, taken) =>
        t.deps.refreshDb.connection().execute(async () => {
          taken()
          await until
        }),
      ),
    ),
  )
  return { release: async () => void (await Promise.all(holds.map(({ release }) => release()))) }
}
