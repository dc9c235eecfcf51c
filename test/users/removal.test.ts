import { sql } from 'kysely'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { issueCode } from '../../src/credentials/codes/codes.ts'
import { tellOwner } from '../../src/outbox/mail/notices.ts'
import { changeEmail } from '../../src/users/address.ts'
import { deleteUser } from '../../src/users/removal.ts'
import { createTestApp, refreshTokenOf, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { countLockWaits } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'

/** Another connection, which may hold what it has changed. */
async function openHolder(t: TestApp) {
  const client = new pg.Client({ connectionString: t.database.ownerUrl })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** Resolves when a statement of the app waits for a lock. */
async function someoneWaits({ db }: TestApp): Promise<void> {
  await expect.poll(() => countLockWaits(db), { timeout: 5000, interval: 10 }).toBeGreaterThan(0)
}

test('an attempt at the moment in which its account is deleted is refused like any other', async () => {
  await using t = await createTestApp()
  const { userId, email } = await t.signUp()
  await using holder = await openHolder(t)
  await holder.query('BEGIN')
  await holder.query('DELETE FROM users WHERE id = $1', [userId])
  const attempt = t.login({ email, password: 'not the right phrase' })
  // By the foreign key, which a distributed database does not have.
  if (!inject('citus')) await someoneWaits(t)
  await holder.query('COMMIT')
  const answer = await attempt
  expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_credentials'])
})

test('no session is left by sign-ins while their account is deleted, and each that began is told as ended', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '1000' } })
  for (let round = 0; round < 5; round++) {
    const { userId, email, password, refreshToken } = await t.signUp()
    const outcomes = await Promise.all([
      ...Array.from({ length: 4 }, () => t.login({ email, password })),
      t.refresh(refreshToken),
      deleteUser(t.deps, byOperator(t.deps), userId).then(() => undefined),
      ...Array.from({ length: 4 }, () => t.login({ email, password })),
    ])
    for (const answer of outcomes) if (answer) expect(answer.statusCode).toBeOneOf([200, 401, 429])
    for (const answer of outcomes) {
      if (answer?.statusCode === 200) expect((await t.refresh(refreshTokenOf(answer))).statusCode).toBe(401)
    }
    expect(await t.db.selectFrom('families').select('id').where('user_id', '=', userId).execute()).toEqual([])
    const trail = t.db
      .selectFrom('audit')
      .select('family_id')
      .where('user_id', '=', userId)
      .where('outcome', '=', 'success')
    const begun = await trail.where('type', '=', 'login').execute()
    const ended = await trail.where('type', '=', 'session.ended').execute()
    const ids = (rows: typeof ended) => rows.map((row) => `${row.family_id}`).toSorted()
    expect(ids(ended)).toEqual(ids(begun))
  }
})

test('of two accounts that want one address at the same moment one gets it', async () => {
  await using t = await createTestApp()
  const ids = [await t.signUp(), await t.signUp(), await t.signUp()].map(({ userId }) => userId)
  const outcomes = await Promise.allSettled(
    ids.map((id) => changeEmail(t.deps, byOperator(t.deps), id, 'wanted@example.com')),
  )
  const refused = outcomes.filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(2)
  for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'email_taken' } })
  expect((await t.login({ email: 'wanted@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)
})

test('attempts go on while an address is changed, and wait for nobody who waits for them', async () => {
  await using t = await createTestApp()
  const { userId, email } = await t.signUp()
  const addresses = [email, 'second@example.com', 'third@example.com']
  for (let round = 0; round < 5; round++) {
    const next = addresses[(round + 1) % 3] ?? ''
    const answers = await Promise.all([
      ...addresses.map((address) => t.login({ email: address, password: 'not the right phrase' })),
      changeEmail(t.deps, byOperator(t.deps), userId, next).then(() => undefined),
      ...addresses.map((address) => t.login({ email: address, password: 'not the right phrase' })),
    ])
    for (const answer of answers) if (answer) expect(answer.statusCode).toBeOneOf([401, 429])
  }
})

test('what belongs to an account goes with it where no foreign key takes it along', async () => {
  await using t = await createTestApp()
  const { userId, email } = await t.signUp()
  const { rows: keys } = await sql<{ table: string; name: string }>`
    SELECT conrelid::regclass::text AS "table", conname::text AS name FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'users'::regclass AND conrelid <> 'families'::regclass`.execute(t.db)
  // As a database is that is distributed.
  for (const { table, name } of keys)
    await sql`ALTER TABLE ${sql.table(table)} DROP CONSTRAINT ${sql.id(name)}`.execute(t.db)
  await t.login({ email, password: 'not the right phrase' })
  await t.db.transaction().execute(async (tx) => {
    const about = { purpose: 'undo_email_change', userId, email: 'left@example.com' } as const
    await issueCode(tx, t.deps.serverKeys, t.deps.clock(), about)
    await tellOwner(tx, t.deps, byOperator(t.deps), { userId, cause: 'password-changed' })
  })
  const tables = ['login_failures', 'one_time_codes', 'notices'] as const
  const left = async () => {
    const counts = tables.map((table) =>
      t.db.selectFrom(table).where('user_id', '=', userId).select('user_id').execute(),
    )
    return (await Promise.all(counts)).map(({ length }) => length)
  }
  expect(await left()).toEqual([1, 1, 1])
  await deleteUser(t.deps, byOperator(t.deps), userId)
  expect(await left()).toEqual([0, 0, 0])
})

test('those are all the tables that refer to accounts', async () => {
  await using t = await createTestApp()
  const { rows } = await sql<{ name: string }>`
    SELECT attrelid::regclass::text AS name FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE attname = 'user_id' AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname !~ '_[0-9]{6,}$'
    ORDER BY 1`.execute(t.db)
  // Events stay; sessions have their foreign key everywhere.
  expect(rows.map(({ name }) => name)).toEqual(['audit', 'families', 'login_failures', 'notices', 'one_time_codes'])
})
