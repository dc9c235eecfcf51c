import { type Kysely, sql } from 'kysely'

/**
 * The schema as PostgreSQL understands it, as text for review: what a migration really did, the same from version 15 to 18.
 */
export async function describeSchema(db: Kysely<never>): Promise<string> {
  const { rows: tables } = await sql<{ name: string; kind: string; options: string | null }>`
    SELECT relname AS name, CASE relpersistence WHEN 'u' THEN 'UNLOGGED TABLE' ELSE 'TABLE' END AS kind,
      array_to_string(reloptions, ', ') AS options
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    ORDER BY relname`.execute(db)
  const parts: string[] = []
  for (const table of tables) {
    const { rows: columns } = await sql<{ line: string }>`
      SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
        || CASE attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END
        || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '') AS line
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      WHERE attrelid = ${table.name}::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`.execute(db)
    // PostgreSQL 18 lists NOT NULL among the constraints; it stands with the column already.
    const { rows: constraints } = await sql<{ line: string }>`
      SELECT 'CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid) AS line
      FROM pg_constraint WHERE conrelid = ${table.name}::regclass AND contype <> 'n' ORDER BY contype, conname`.execute(
      db,
    )
    const { rows: indexes } = await sql<{ line: string }>`
      SELECT indexdef AS line FROM pg_indexes
      WHERE schemaname = 'public' AND tablename = ${table.name}
        AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY indexname`.execute(db)
    const body = [...columns, ...constraints].map(({ line }) => `  ${line}`).join(',\n')
    const options = table.options ? ` WITH (${table.options})` : ''
    parts.push(
      [`${table.kind} ${table.name} (`, body, `)${options}`, ...indexes.map(({ line }) => line), ''].join('\n'),
    )
  }
  const { rows: functions } = await sql<{ definition: string; acl: string }>`
    SELECT pg_get_functiondef(oid) AS definition, array_to_string(coalesce(proacl, acldefault('f', proowner)), ', ') AS acl
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname`.execute(db)
  for (const { definition, acl } of functions) {
    // Its own rights only, whatever the owner is called; PUBLIC has an empty name.
    parts.push(`${definition.trim()}\n-- PUBLIC may ${/(^|, )=/.test(acl) ? '' : 'not '}call it\n`)
  }
  return parts.join('\n')
}
