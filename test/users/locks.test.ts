import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import { lockAccount, lockAccountOf } from '../../src/users/lookup.ts'
import { createTestApp } from '../support/app.ts'
import { forFile } from '../support/for-file.ts'

const t = forFile(await createTestApp())

test.each([
  ['by its id', (...[tx, { userId }]: Locking) => lockAccount(tx, userId)],
  ['by its address', (...[tx, { email }]: Locking) => lockAccountOf(tx, email)],
])('who has locked an account %s holds up sign-ins to it, and to no other', async (_by, lock) => {
  const [held, other] = [await t.signUp(), await t.signUp()]
  const signIn = async ({ email, password }: Account) => (await t.login({ email, password })).statusCode
  await transact(t.db, async (tx) => {
    expect(await lock(tx, held)).toMatchObject({ id: held.userId, email: held.email })
    expect([await signIn(other), await signIn(held)]).toEqual([200, 503])
  })
  expect(await signIn(held)).toBe(200)
})

test('the lock is an advisory one as well, the same however the account is found: it lasts until every machine has committed', async () => {
  const account = await t.signUp()
  const byId = await locksOf((tx) => lockAccount(tx, account.userId))
  expect(byId).toHaveLength(1)
  expect(await locksOf((tx) => lockAccountOf(tx, account.email))).toEqual(byId)
})

test('who waits for the account of an address locks whoever has the address afterwards', async () => {
  const [before, after] = [await t.signUp(), await t.signUp()]
  const theirs = await locksOf((tx) => lockAccount(tx, after.userId))
  let asked: Promise<unknown[]> | undefined
  await transact(t.db, async (tx) => {
    await lockAccount(tx, before.userId)
    asked = locksOf(async (other) => {
      expect(await lockAccountOf(other, before.email)).toMatchObject({ id: after.userId, email: before.email })
    })
    await expect.poll(waitingForAdvisory).toBe(1)
    await tx
      .updateTable('users')
      .set({ email: `was-${before.email}` })
      .where('id', '=', before.userId)
      .execute()
    await tx.updateTable('users').set({ email: before.email }).where('id', '=', after.userId).execute()
  })
  expect(await asked).toEqual(expect.arrayContaining(theirs))
})

async function locksOf(lock: (tx: Locking[0]) => Promise<unknown>): Promise<unknown[]> {
  return await transact(t.db, async (tx) => {
    await lock(tx)
    const held = sql`SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`
    return (await held.execute(tx)).rows
  })
}

async function waitingForAdvisory(): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`.execute(
    t.db,
  )
  return rows[0]?.count ?? 0
}

type Account = Awaited<ReturnType<typeof t.signUp>>
type Locking = [tx: Parameters<typeof lockAccount>[0], account: Account]
