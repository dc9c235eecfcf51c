import { createHash } from 'node:crypto'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type pg from 'pg'
import type { Connections } from './connections.ts'
import { changedNothing, inFailedTransaction } from './errors.ts'

const BEGIN = /^(begin|start transaction)\b/i

/**
 * The pool as Kysely sees it. Every statement is named. One that failed because of its connection, and certainly changed
 * nothing, is sent once more on another. Inside a transaction only the whole transaction can be repeated: see transact.
 */
export function lend(connections: Connections, pool: Pick<pg.Pool, 'options' | 'end'>): PostgresPool {
  const nameOf = statementNames()
  const ask = (client: pg.PoolClient, text: string, values?: readonly unknown[]) =>
    // Without parameters it is BEGIN, COMMIT, or a migration of many statements: none of these needs a name.
    values?.length ? client.query({ name: nameOf(text), text, values: [...values] }) : client.query(text)

  const lease = async () => {
    let client: pg.PoolClient | undefined = await connections.take()
    let spoilt: unknown
    let failure: Error | undefined
    const attempt = async (text: string, values?: readonly unknown[]) => {
      // The next statement would fail as well. Usually it is a ROLLBACK, whose error would hide the first one.
      if (spoilt || !client) throw spoilt
      const askedAt = performance.now()
      try {
        const result = await ask(client, text, values)
        connections.praise(client)
        // PostgreSQL answers ROLLBACK to a COMMIT after a failed statement: nothing was committed.
        if (failure && text === 'commit' && result.command === 'ROLLBACK') throw failure
        failure = undefined
        return result
      } catch (error) {
        if (connections.blame(client, error, askedAt)) spoilt = error
        // After an error, every later statement of the transaction fails too; only the first error says why.
        if (!failure || !inFailedTransaction(error)) failure = error as Error
        throw failure
      }
    }
    const release = (discard = false): void => {
      if (client) connections.giveBack(client, discard || spoilt !== undefined)
      client = undefined
    }
    return {
      query: async (text: string, values?: readonly unknown[]) => {
        const alone = client?.getTransactionStatus() === 'I'
        try {
          return await attempt(text, values)
        } catch (error) {
          if (!spoilt || !alone || !changedNothing(error, BEGIN.test(text))) throw error
          release()
          client = await connections.take()
          spoilt = undefined
          return await attempt(text, values)
        }
      },
      release,
    }
  }
  return {
    options: pool.options,
    connect: async () => (await lease()) as unknown as PostgresPoolClient,
    end: () => pool.end(),
  }
}

/**
 * Names every statement by a hash of its text, so that PostgreSQL parses and plans it once per connection. A rotation
 * then costs less than half as much (measured). There are few texts, because lists are passed as arrays.
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
