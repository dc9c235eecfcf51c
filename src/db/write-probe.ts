import { sql } from 'kysely'
import type { Db } from './schema.ts'

/**
 * Resolves if a sign-in and a refresh could write at this moment: the tables exist, the role may change them, and neither
 * the server nor the session is read-only. Changes nothing, locks no row and leaves nothing in the write-ahead log.
 *
 * Of the tables that may lie on several machines only the rights are asked: one machine that is away stops the sessions that lie
 * there, and must not have all servers taken out of service.
 * @throws the database's error, which says what is wrong.
 */
export async function probeWrites(db: Db): Promise<void> {
  const { rows } = await sql<{ denied: string | null }>`
    WITH
      a AS (INSERT INTO login_failures (user_id) SELECT gen_random_uuid() WHERE false),
      b AS (INSERT INTO rate_limits (key) SELECT 'none' WHERE false),
      c AS (INSERT INTO login_sprays (last_failed_at) SELECT now() WHERE false),
      d AS (INSERT INTO audit (id) SELECT gen_random_uuid() WHERE false),
      e AS (INSERT INTO outbox (id) SELECT gen_random_uuid() WHERE false),
      f AS (INSERT INTO notices (user_id) SELECT gen_random_uuid() WHERE false),
      g AS (INSERT INTO revocations (id) SELECT gen_random_uuid() WHERE false)
    SELECT CASE
      WHEN NOT has_table_privilege('users', 'UPDATE') THEN 'users'
      WHEN NOT (has_table_privilege('families', 'INSERT') AND has_table_privilege('families', 'UPDATE')) THEN 'families'
    END AS denied, (SELECT kid FROM signing_keys WHERE false)`.execute(db)
  // Whether the columns are there. No row can be asked for, so no other machine is.
  await sql`SELECT u.password_hash, f.generation, f.current_hash FROM users AS u, families AS f WHERE false`.execute(db)
  const denied = rows[0]?.denied
  if (denied) throw Object.assign(new Error(`permission denied for table ${denied}`), { code: '42501' })
}
