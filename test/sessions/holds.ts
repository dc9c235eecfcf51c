import { type Kysely, sql } from 'kysely'
import { share } from '../../src/db/pools.ts'
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

/** A whole table: whoever reads it waits. */
export const holdTable = (db: Kysely<Schema>, table: keyof Schema): Promise<Hold> =>
  hold((until, taken) =>
    db.transaction().execute(async (tx) => {
      await sql`LOCK TABLE ${sql.table(table)} IN ACCESS EXCLUSIVE MODE`.execute(tx)
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

/** Every connection that refreshes and their rotations have, or all but those of rotations. */
export async function holdConnections(t: TestApp, wanted: { rotations?: 0 } = {}): Promise<Hold> {
  const { rotations, refreshes } = { ...share(t.config.DATABASE_POOL_SIZE, t.deps.shards.isDivided()), ...wanted }
  const { rotationDb, refreshDb } = t.deps
  const holdOne = (db: Kysely<Schema>) => () =>
    hold((until, taken) =>
      db.connection().execute(async () => {
        taken()
        await until
      }),
    )
  const holds = await Promise.all([
    ...Array.from({ length: rotations }, holdOne(rotationDb)),
    ...Array.from({ length: refreshes }, holdOne(refreshDb)),
  ])
  return { release: async () => void (await Promise.all(holds.map(({ release }) => release()))) }
}
