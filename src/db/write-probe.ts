import { sql } from 'kysely'
import type { Db } from './schema.ts'

/**
 * Resolves if a sign-in and a refresh could write at this moment: the tables exist, the role may change them, and neither
 * the server nor the session is read-only. Changes nothing, locks no row and leaves nothing in the write-ahead log.
 * @throws the database's error, which says what is wrong.
 */
export async function probeWrites(db: Db): Promise<void> {
  await sql`
    WITH
      a AS (UPDATE users SET password_hash = password_hash WHERE false),
      b AS (UPDATE families SET generation = generation WHERE false),
      c AS (INSERT INTO families (id) SELECT gen_random_uuid() WHERE false),
      d AS (INSERT INTO login_failures (user_id) SELECT gen_random_uuid() WHERE false),
      e AS (INSERT INTO rate_limits (key) SELECT 'none' WHERE false),
      f AS (INSERT INTO login_sprays (last_failed_at) SELECT now() WHERE false),
      g AS (INSERT INTO audit (id) SELECT gen_random_uuid() WHERE false),
      h AS (INSERT INTO outbox (id) SELECT gen_random_uuid() WHERE false),
      i AS (INSERT INTO notices (user_id) SELECT gen_random_uuid() WHERE false),
      j AS (INSERT INTO revocations (id) SELECT gen_random_uuid() WHERE false)
    SELECT FROM signing_keys WHERE false`.execute(db)
}
