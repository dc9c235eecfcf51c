import { randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { type Attempt, reserveAttempt, settleAttempt } from '../../src/credentials/attempt-queries.ts'
import { lockProven } from '../../src/credentials/passwords/queries.ts'
import { connect } from '../../src/db/connect.ts'
import { MINUTE } from '../../src/durations.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'

const email = 'ada@example.com'

describe('what counts an attempt', () => {
  test('does not wait for the disk; what decides on it does', async () => {
    await using t = await createTestApp()
    // Asked when the transaction is committed, which is when it counts.
    await sql
      .raw(
        `CREATE TABLE commits (what text, setting text);
      GRANT INSERT ON commits TO PUBLIC;
      CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO commits VALUES (tg_op, current_setting('synchronous_commit')); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER note_commit AFTER INSERT OR UPDATE OR DELETE ON login_failures
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_commit()`,
      )
      .execute(t.db)
    await t.register(email, TEST_PASSWORD)
    await t.login({ email, password: 'not my password' })
    await t.login({ email, password: TEST_PASSWORD })
    expect((await sql`SELECT what, setting FROM commits`.execute(t.db)).rows).toEqual([
      { what: 'INSERT', setting: 'off' },
      { what: 'UPDATE', setting: 'on' },
      { what: 'UPDATE', setting: 'off' },
      { what: 'DELETE', setting: 'on' },
    ])
  })

  test('is planned once, however many counters there are', async () => {
    await using t = await createTestApp()
    await t.register(email, TEST_PASSWORD)
    await sql
      .raw(`INSERT INTO login_failures (identifier_hash, failures, blocked_until, last_attempt_at)
        SELECT sha256(n::text::bytea), 1, now(), now() FROM generate_series(1, 20000) AS n;
      ANALYZE login_failures`)
      .execute(t.db)
    const { db } = connect({ url: t.databaseUrl, size: 1 })
    const rule = { threshold: 100, firstSeconds: 1, longestSeconds: 1, longestFlightSeconds: 30 }
    const failed = {
      address: null,
      account: randomBytes(16),
      rule: { accounts: 9, withinMs: MINUTE, shrunkForMs: MINUTE },
    }
    try {
      // PostgreSQL plans for the values five times, and compares what that cost with a plan for any.
      for (let time = 1; time <= 10; time++) {
        const identifiers = [randomBytes(32)]
        const now = t.deps.clock()
        const wanted = { by: 'email', value: email } as const
        const { attempt } = await reserveAttempt(db, { counters: { identifiers, devices: [] }, wanted, now, rule })
        await settleAttempt(db, { now, attempt: attempt as Attempt, failed })
        const proven = { id: randomUUID(), passwordHash: null, identifiers, address: null, accounts: [failed.account] }
        await db.transaction().execute((tx) => lockProven(tx, proven))
      }
      const { rows } = await sql<{ text: string; times: string }>`
        SELECT statement AS text, custom_plans AS times FROM pg_prepared_statements
        WHERE statement LIKE '%login_failures%' AND custom_plans + generic_plans = 10`.execute(db)
      expect(rows.map(({ times }) => Number(times))).toEqual([5, 5, 5])
    } finally {
      await db.destroy()
    }
  })
})
