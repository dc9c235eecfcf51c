import { createHash } from 'node:crypto'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type pg from 'pg'
import { belongsToConnection } from './errors.ts'

/**
 * The pool as Kysely sees it. What it lends names every statement, and is closed instead of given back once an error has
 * shown that it is good for nothing more: in a pool it would be lent again and again, and fail each time.
 */
export function lend(pool: pg.Pool): PostgresPool {
  const nameOf = statementNames()
  const lease = (client: pg.PoolClient) => {
    let spoilt = false
    return {
      query: async (text: string, values?: readonly unknown[]) => {
        try {
          // Without parameters it is a transaction's BEGIN or COMMIT, or a migration of many statements.
          return await (values?.length
            ? client.query({ name: nameOf(text), text, values: [...values] })
            : client.query(text))
        } catch (error) {
          spoilt ||= belongsToConnection(error)
          throw error
        }
      },
      release: (discard = false): void => client.release(discard || spoilt || leftInTransaction(client)),
    }
  }
  return {
    options: pool.options,
    connect: async () => lease(await pool.connect()) as unknown as PostgresPoolClient,
    end: () => pool.end(),
  }
}

/**
 * A name for every statement, made from its text, so that PostgreSQL parses and plans it once per connection: measured,
 * a rotation then costs less than half. Statement texts are few because lists are passed as arrays, never spelled out.
 */
function statementNames(): (text: string) => string {
  const names = new Map<string, string>()
  return (text) => {
    let name = names.get(text)
    if (name === undefined) {
      name = createHash('sha256').update(text).digest('base64url').slice(0, 16)
      names.set(text, name)
    }
    return name
  }
}

/** What the next borrower ran on it would be part of somebody else's transaction. */
function leftInTransaction(client: pg.PoolClient): boolean {
  const status = client.getTransactionStatus()
  return status === 'T' || status === 'E'
}
