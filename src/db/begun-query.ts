import pg from 'pg'

/** What the driver's connection sends, as far as it is used here. */
interface Wire {
  parse(message: { text: string }): void
  bind(message: object): void
  execute(message: object): void
}

interface DriversQuery extends pg.Submittable {
  prepare(connection: Wire): void
}

type Settled = (error: Error | undefined, results: pg.QueryResult[]) => void

/**
 * The driver's query, which sends its messages in `prepare`. BEGIN goes between parsing and binding, without a Sync, so that one
 * answer comes for all. Not before: the driver would take the answer to its parsing for that of the statement's.
 */
class BegunQuery extends (pg.Query as unknown as new (config: object, settled: Settled) => DriversQuery) {
  override prepare(connection: Wire): void {
    const bind = (message: object) => {
      connection.parse({ text: 'begin' })
      connection.bind({})
      connection.execute({})
      connection.bind(message)
    }
    super.prepare(Object.create(connection, { bind: { value: bind } }))
  }
}

/**
 * Sends a statement together with the BEGIN before it, so that a transaction costs a round trip less. If the statement fails, a
 * ROLLBACK is due as after any other.
 * @returns the result of the statement.
 */
export function queryBegun(
  client: pg.ClientBase,
  config: { name: string; text: string; values: unknown[] },
): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    const settled: Settled = (error, results) => (error ? reject(error) : resolve(results[1] as pg.QueryResult))
    client.query(new BegunQuery(config, settled))
  })
}
