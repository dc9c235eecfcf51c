import { createHash } from 'node:crypto'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type pg from 'pg'
import { queryBegun } from './begun-query.ts'
import type { Connections } from './connections.ts'
import { changedNothing, inFailedTransaction } from './errors.ts'

const BEGIN = /^(begin|start transaction)\b/i
/** What Kysely sends at either end of a transaction without further settings. */
const [PLAIN_BEGIN, COMMIT, ROLLBACK] = ['begin', 'commit', 'rollback']

/**
 * The pool as Kysely sees it. Every statement is named. One that failed because of its connection, and certainly changed
 * nothing, is sent once more on another. Inside a transaction only the whole transaction can be repeated: see transact.
 */
export function lend(connections: Connections, pool: Pick<pg.Pool, 'options' | 'end'>): PostgresPool {
  const nameOf = statementNames()
  const ask = (client: pg.PoolClient, text: string, values: readonly unknown[] | undefined, begins: boolean) => {
    // Without parameters it is BEGIN, COMMIT, or a migration of many statements: none of these needs a name.
    if (!values?.length) return client.query(text)
    const config = { name: nameOf(text), text, values: [...values] }
    return begins ? queryBegun(client, config) : client.query(config)
  }

  const lease = async () => {
    let client: pg.PoolClient | undefined = await connections.take()
    let spoilt: unknown
    let failure: Error | undefined
    /** Whether a transaction is to begin with the next statement. */
    let isDue = false
    const attempt = async (text: string, values?: readonly unknown[], begins = false) => {
      // The next statement would fail as well. Usually it is a ROLLBACK, whose error would hide the first one.
      if (spoilt || !client) throw spoilt
      const askedAt = performance.now()
      try {
        const result = await ask(client, text, values, begins)
        connections.praise(client)
        // PostgreSQL answers ROLLBACK to a COMMIT after a failed statement: nothing was committed.
        if (failure && text === COMMIT && result.command === 'ROLLBACK') throw failure
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
    /** One that certainly changed nothing is sent once more, on another connection. */
    const send = async (text: string, values?: readonly unknown[], begins = false) => {
      const alone = client?.getTransactionStatus() === 'I'
      try {
        return await attempt(text, values, begins)
      } catch (error) {
        if (!spoilt || !alone || !changedNothing(error, begins || BEGIN.test(text))) throw error
        release()
        client = await connections.take()
        spoilt = undefined
        return await attempt(text, values, begins)
      }
    }
    return {
      query: async (text: string, values?: readonly unknown[]) => {
        if (text === PLAIN_BEGIN) {
          isDue = true
          return { command: 'BEGIN', rows: [] }
        }
        if (!isDue) return await send(text, values)
        isDue = false
        if (text === COMMIT || text === ROLLBACK) return { command: text.toUpperCase(), rows: [] }
        if (values?.length) return await send(text, values, true)
        await send(PLAIN_BEGIN)
        return await send(text)
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
