import { expect, test, vi } from 'vitest'
import { issueCode } from '../../src/credentials/codes/codes.ts'
import { transact } from '../../src/db/errors.ts'
import { setPassword } from '../../src/users/accounts.ts'
import { createTestApp, type SignedUp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, liveFamilies } from '../users/support.ts'

const NEXT = 'seven brisk herons glide'

function change(t: TestApp, user: SignedUp, current_password: string, new_password: string) {
  return t.inject({
    method: 'POST',
    url: '/password',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${user.accessToken}` },
    payload: JSON.stringify({ current_password, new_password }),
  })
}

test('ends every other session and keeps its own', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  const other = (await t.login({ email: user.email, password: TEST_PASSWORD })).json().refresh_token as string
  const answer = await change(t, user, TEST_PASSWORD, NEXT)
  expect([answer.statusCode, answer.body]).toEqual([204, ''])
  expect((await t.refresh(other)).statusCode).toBe(401)
  expect((await t.refresh(user.refreshToken)).statusCode).toBe(200)
  expect((await t.login({ email: user.email, password: TEST_PASSWORD })).statusCode).toBe(401)
  expect((await t.login({ email: user.email, password: NEXT })).statusCode).toBe(200)
  expect(await auditOf(t, 'password.changed')).toMatchObject([
    { outcome: 'success', actor: `user:${user.userId}`, user_id: user.userId },
  ])
  expect(await auditOf(t, 'session.ended')).toMatchObject([{ reason: 'password_changed' }])
})

test('voids what was mailed to set another or to move the account, and not the way back from a move', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  const issueAll = () =>
    transact(t.deps.db, async (tx) => {
      for (const purpose of ['reset_password', 'change_email', 'undo_email_change'] as const)
        await issueCode(tx, t.deps.serverKeys, t.deps.clock(), { purpose, userId: user.userId, email: user.email })
    })
  const left = async () =>
    (await t.db.selectFrom('one_time_codes').select('purpose').execute()).map((row) => row.purpose)
  await issueAll()
  expect((await change(t, user, TEST_PASSWORD, NEXT)).statusCode).toBe(204)
  expect(await left()).toEqual(['undo_email_change'])
  await issueAll()
  await setPassword(t.deps, byOperator(t.deps), user.userId, TEST_PASSWORD)
  expect(await left()).toEqual(['undo_email_change'])
})

test('the new password is held to the policy, before any hash', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  const verify = vi.spyOn(t.deps.hasher, 'verify')
  for (const [next, code] of [
    ['short77', 'password_too_short'],
    ['password123', 'password_blocked'],
    [user.email, 'password_blocked'],
  ]) {
    const answer = await change(t, user, TEST_PASSWORD, String(next))
    expect([answer.statusCode, answer.json().code]).toEqual([400, code])
  }
  expect(verify).not.toHaveBeenCalled()
})

test('a stolen access token does not get around the back-off', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  for (let i = 0; i < 3; i++)
    expect((await change(t, user, 'a guess of mine', NEXT)).json().code).toBe('invalid_credentials')
  for (let i = 0; i < 2; i++) await t.login({ email: user.email, password: 'a guess of mine' })
  const verify = vi.spyOn(t.deps.hasher, 'verify')
  expect((await change(t, user, TEST_PASSWORD, NEXT)).statusCode).toBe(429)
  expect((await t.login({ email: user.email, password: TEST_PASSWORD })).statusCode).toBe(429)
  expect(verify).not.toHaveBeenCalled()
  expect(await liveFamilies(t, user.userId)).toHaveLength(1)
  const reasons = (await auditOf(t, 'password.changed')).map((event) => event.reason)
  expect([...new Set(reasons)]).toEqual(['wrong_password', 'backoff'])
  t.travel(31)
  expect((await change(t, user, TEST_PASSWORD, NEXT)).statusCode).toBe(204)
})

test('of two changes at once one wins, and the other finds that its current password no longer is', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  const answers = await Promise.all([
    change(t, user, TEST_PASSWORD, NEXT),
    change(t, user, TEST_PASSWORD, `${NEXT} too`),
  ])
  expect(answers.map((answer) => answer.statusCode).toSorted((a, b) => a - b)).toEqual([204, 401])
})

test('needs an access token, and the session behind it', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  expect((await change(t, { ...user, accessToken: 'x.y.z' }, TEST_PASSWORD, NEXT)).statusCode).toBe(401)
  await t.db.updateTable('families').set({ ended_at: t.deps.clock(), end_cause: 'logout' }).execute()
  expect((await change(t, user, TEST_PASSWORD, NEXT)).json().code).toBe('invalid_token')
})

test('me shows the account as it is now', async () => {
  await using t = await createTestApp()
  const user = await t.signUp('ada@example.com')
  await t.db
    .updateTable('users')
    .set({ roles: ['editor'], claims: JSON.stringify({ team: 'blue' }) })
    .execute()
  const answer = await t.inject({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${user.accessToken}` } })
  expect(answer.statusCode).toBe(200)
  expect(answer.json()).toEqual({
    id: user.userId,
    email: 'ada@example.com',
    email_verified: false,
    roles: ['editor'],
    claims: { team: 'blue' },
    created_at: expect.stringMatching(/Z$/),
  })
})
