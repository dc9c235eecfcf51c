// Makes users and sessions in bulk, in the database itself. By hand:
//   node dev/run.mjs bench/seed.ts --database <postgres URL> --users 1000000 --families 10000000
import { parseArgs } from 'node:util'
import argon2 from 'argon2'
import pg from 'pg'
import { newClientId } from '../src/clients/identifiers.ts'
import { mintSecret } from '../src/clients/secrets.ts'
import type { KeyList } from '../src/config/secrets.ts'
import { migrate } from '../src/db/migrate.ts'
import { hashToken, mintFirst } from '../src/tokens/refresh.ts'

export interface SeedOptions {
  users: number
  families: number
  /** Called with the rows made so far and the rows wanted. */
  progress?: (made: number, wanted: number) => void
}

/** Of every seeded user. */
export const password = 'correct horse battery staple 9'
export const emailOf = (user: number): string => `user-${user}@bench.example`

type Query = (text: string, values?: unknown[]) => Promise<pg.QueryResultRow[]>

const BATCH = 200_000

/**
 * Rows as sign-ins leave them. INSERT … SELECT, because rows that are made where they
 * are kept need not be written out and sent first. No token is known yet, see `mintChains`.
 */
export async function seed(query: Query, { users, families, progress = () => {} }: SeedOptions): Promise<void> {
  const phc = await argon2.hash(password, { type: argon2.argon2id, memoryCost: 19456, timeCost: 2, parallelism: 1 })
  const wanted = users + families
  // The foreign key is true by construction; checking it would be a look-up per row.
  await query(`SET session_replication_role = 'replica'`)
  // To sort the entries of an index in memory.
  await query(`SET maintenance_work_mem = '1GB'`)
  // It would read the growing table beside us; what it does for it is done once at the end.
  await query('ALTER TABLE families SET (autovacuum_enabled = false)')
  for (let from = 0; from < users; from += BATCH) {
    const to = Math.min(users, from + BATCH)
    await query(
      `INSERT INTO users (id, email, email_verified, password_hash, roles, claims, created_at, signed_in_at, locale)
        SELECT md5('user ' || n)::uuid, 'user-' || n || '@bench.example', true, $1, '{member}', '{}',
          now() - interval '40 days' + n * interval '1 second', now() - interval '1 day', 'en'
        FROM generate_series($2::int, $3::int) AS n`,
      [phc, from, to - 1],
    )
    progress(to, wanted)
  }
  const restore = await dropIndexes(query)
  for (let from = 0; from < families; from += BATCH) {
    const to = Math.min(families, from + BATCH)
    await query(
      `INSERT INTO families (id, user_id, client_id, delivery, remember, scope, audience, amr, auth_time, created_at,
          expires_at, idle_seconds, user_agent, address, generation, current_hash, rotated_at, window_started_at)
        SELECT gen_random_uuid(), md5('user ' || n % $3::int)::uuid, 'native', 'body',
          true, '{account}', '{bench}', '{pwd}', now(), now(), now() + interval '30 days', 1209600,
          'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '192.0.2.1', 0,
          sha256(n::text::bytea), now(), now()
        FROM generate_series($1::int, $2::int) AS n`,
      [from, to - 1, users],
    )
    progress(users + to, wanted)
  }
  for (const statement of restore) await query(statement)
  await query('VACUUM (ANALYZE) users, families')
  await query('ALTER TABLE families RESET (autovacuum_enabled)')
  await query('RESET maintenance_work_mem')
  await query('RESET session_replication_role')
}

/** Ids are random: filling the indexes row by row would take several times as long. @returns what makes them again. */
async function dropIndexes(query: Query): Promise<string[]> {
  const indexes = await query(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
      WHERE tablename = 'families' AND indexname <> 'families_pkey'`,
  )
  await query('ALTER TABLE families DROP CONSTRAINT families_pkey')
  for (const { name } of indexes) await query(`DROP INDEX ${String(name)}`)
  return ['ALTER TABLE families ADD PRIMARY KEY (id)', ...indexes.map(({ definition }) => String(definition))]
}

/** Gives `count` families, spread evenly over the table, first tokens that we know. @returns the tokens. */
export async function mintChains(query: Query, keys: KeyList, count: number): Promise<string[]> {
  const rows = await query(
    `SELECT id FROM (SELECT id, row_number() OVER () AS n, count(*) OVER () AS total FROM families) AS f
      WHERE n % greatest(total / $1::int, 1) = 0 LIMIT $1::int`,
    [count],
  )
  const minted = rows.map(() => mintFirst(keys))
  const ids = rows.map(({ id }) => id)
  const rename = (table: string) =>
    query(
      `UPDATE ${table} f SET id = given.family, current_hash = given.hash, rotated_at = now(),
        generation = 0, previous_generation = NULL, previous_hash = NULL, salt = NULL
      FROM unnest($1::uuid[], $2::bytea[], $3::uuid[]) AS given (id, hash, family) WHERE f.id = given.id`,
      [ids, minted.map(({ token }) => hashToken(token)), minted.map(({ family }) => family)],
    )
  const [distributed] = await query(`SELECT FROM pg_extension WHERE extname = 'citus'`)
  if (distributed) {
    // Citus does not let a row change the machine that its id puts it on.
    await query('CREATE TEMPORARY TABLE renamed AS SELECT * FROM families WHERE id = ANY($1::uuid[])', [ids])
    await query('DELETE FROM families WHERE id = ANY($1::uuid[])', [ids])
    await rename('renamed')
    await query('INSERT INTO families SELECT * FROM renamed')
    await query('DROP TABLE renamed')
  } else await rename('families')
  // One statement that updates most rows of a page fills the room that is meant for rotations. In a table so small, pack
  // the pages anew; in a large one, hardly a page has two of these rows.
  const [table] = await query('SELECT count(*) AS families FROM families')
  if (count > Number(table?.families) / 20) await query('VACUUM (FULL, ANALYZE) families')
  return minted.map(({ token }) => token)
}

/** Registers a service, which may have tokens for the audience of the others. @returns what proves it, for `Authorization`. */
export async function addService(query: Query): Promise<string> {
  const id = newClientId()
  const { text, hash } = mintSecret()
  await query(
    `INSERT INTO clients (id, name, type, scopes, auth_method, created_at, changed_at)
      VALUES ($1, $1, 'service', '{reports:read}', 'client_secret_basic', now(), now())`,
    [id],
  )
  await query(
    `INSERT INTO client_secrets (id, client_id, slot, secret_hash, created_at, expires_at)
      VALUES (gen_random_uuid(), $1, 1, $2, now(), now() + interval '365 days')`,
    [id, hash],
  )
  return `Basic ${Buffer.from(`${id}:${text}`).toString('base64')}`
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      database: { type: 'string' },
      users: { type: 'string', default: '1000000' },
      families: { type: 'string', default: '10000000' },
    },
  })
  if (!values.database) throw new Error('--database <postgres URL> is missing')
  await migrate(values.database)
  const client = new pg.Client({ connectionString: values.database })
  await client.connect()
  const startedAt = performance.now()
  await seed(async (text, list) => (await client.query(text, list)).rows, {
    users: Number(values.users),
    families: Number(values.families),
    progress: (made, wanted) => console.error(`${made} of ${wanted} rows`),
  })
  console.error(`done in ${Math.round((performance.now() - startedAt) / 1000)} s`)
  await client.end()
}
