import { sql } from 'kysely'
import type { Db } from './schema.ts'

/** The database's wall clock at this moment, not at the start of a transaction. Also the cheapest proof that it answers. */
export async function databaseTime(db: Db): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`SELECT clock_timestamp() AS now`.execute(db)
  if (!rows[0]) throw new Error('the database did not say what time it is')
  return rows[0].now
}
