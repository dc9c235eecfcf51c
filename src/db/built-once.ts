import { CompiledQuery, type RawBuilder, sql } from 'kysely'
import type { Db } from './schema.ts'

/** Makes a parameter of a statement. @param read finds its value among those that the statement is sent with. */
export type Parameter<Values> = <T>(read: (values: Values) => T) => RawBuilder<T>

/**
 * A statement whose text is built when it is first sent and is the same ever after, for those that every sign-in sends: building one
 * takes the query builder longer than sending it takes the driver. What a parameter is made of once may be mentioned more than once.
 * @returns the function that sends it, and resolves to its rows.
 */
export function builtOnce<Values, Row>(
  build: (parameter: Parameter<Values>) => RawBuilder<Row>,
): (db: Db, values: Values) => Promise<Row[]> {
  const reads: ((values: Values) => unknown)[] = []
  let text: string | undefined
  return async (db, values) => {
    text ??= textOf(build((read) => sql.raw(`$${reads.push(read)}`)).compile(db))
    const { rows } = await db.executeQuery<Row>(
      CompiledQuery.raw(
        text,
        reads.map((read) => read(values)),
      ),
    )
    return rows
  }
}

function textOf({ sql: text, parameters }: CompiledQuery): string {
  // The query builder would give it the number of one of ours, and PostgreSQL the wrong value.
  if (parameters.length > 0) throw new Error(`a value in a statement that is built once: ${text}`)
  return text
}
