import { sql } from 'kysely'
import { type ConnectOptions, connect, type Database } from '../../src/db/connect.ts'
import { atOnce } from '../support/at-once.ts'

export type Pool = Database & AsyncDisposable

/** A pool of its own. Of one connection, unless the test needs more: the next statement then shows what became of it. */
export function openPool(url: string, options: Partial<ConnectOptions> = {}): Pool {
  const opened = connect({ url, size: 1, ...options })
  return { ...opened, [Symbol.asyncDispose]: () => opened.db.destroy() }
}

/** The process of PostgreSQL behind the next connection that is lent. */
export async function pid({ db }: Pick<Database, 'db'>): Promise<number> {
  const { rows } = await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(db)
  return rows[0]?.pid as number
}

/** As many connections at once, each busy for a moment. @returns their processes. */
export async function pids({ db }: Pick<Database, 'db'>, count: number): Promise<Set<number>> {
  const answers = await atOnce(count, () =>
    sql<{ pid: number }>`SELECT pg_backend_pid() AS pid, pg_sleep(0.1)`.execute(db),
  )
  return new Set(answers.flatMap(({ rows }) => rows.map((row) => row.pid)))
}
