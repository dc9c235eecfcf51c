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
  const locksOf = (lock: (...about: Locking) => Promise<unknown>) =>
    transact(t.db, async (tx) => {
      await lock(tx, account)
      const held = sql`SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`
      return (await held.execute(tx)).rows
    })
  const byId = await locksOf((tx, { userId }) => lockAccount(tx, userId))
  expect(byId).toHaveLength(1)
  expect(await locksOf((tx, { email }) => lockAccountOf(tx, email))).toEqual(byId)
})

type Account = Awaited<ReturnType<typeof t.signUp>>
type Locking = [tx: Parameters<typeof lockAccount>[0], account: Account]
