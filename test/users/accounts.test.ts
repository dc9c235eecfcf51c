import { expect, test } from 'vitest'
import { createUser, disableUser, enableUser, findUser, listUsers } from '../../src/users/accounts.ts'
import { lockAccount } from '../../src/users/lookup.ts'
import { setRoles } from '../../src/users/rights.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { claimsOf } from '../support/jwt.ts'
import { waitForLocks } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'
import { auditOf, liveFamilies } from './support.ts'

test('an operator makes an account with roles, closed registration or not', async () => {
  await using t = await createTestApp({ env: { REGISTRATION: 'closed' } })
  const made = await createUser(t.deps, byOperator(t.deps), {
    email: 'Root@Example.com',
    password: TEST_PASSWORD,
    roles: ['admin', 'admin'],
  })
  expect(made).toMatchObject({
    email: 'root@example.com',
    roles: ['admin'],
    hasPassword: true,
    passwordDisabled: false,
  })
  expect(made).not.toHaveProperty('passwordHash')
  const answer = await t.login({ email: 'root@example.com', password: TEST_PASSWORD })
  expect(answer.json().user.roles).toEqual(['admin'])
  expect(await auditOf(t, 'user.created')).toMatchObject([{ actor: 'operator:ada', user_id: made.id, address: null }])

  const again = { email: 'root@example.com', password: TEST_PASSWORD, roles: [] }
  await expect(createUser(t.deps, byOperator(t.deps), again)).rejects.toMatchObject({ code: 'email_taken' })
  const other = { email: 'b@example.com', password: TEST_PASSWORD }
  for (const role of ['', 'a b', 'a,b', 'x'.repeat(65)]) {
    await expect(createUser(t.deps, byOperator(t.deps), { ...other, roles: [role] })).rejects.toMatchObject({
      code: 'invalid_request',
    })
  }
  await expect(
    createUser(t.deps, byOperator(t.deps), { ...other, password: 'password123', roles: [] }),
  ).rejects.toMatchObject({
    code: 'password_blocked',
  })
})

test('accounts are listed page by page in order of creation', async () => {
  await using t = await createTestApp()
  for (const name of ['c', 'a', 'b']) {
    await createUser(t.deps, byOperator(t.deps), { email: `${name}@example.com`, password: null, roles: [] })
    // Of one millisecond, the order is that of their random ids.
    t.travel(1)
  }
  const first = await listUsers(t.db, { limit: 2 })
  expect(first.map((user) => user.email)).toEqual(['c@example.com', 'a@example.com'])
  const rest = await listUsers(t.db, { after: first.at(-1)?.id, limit: 2 })
  expect(rest.map((user) => user.email)).toEqual(['b@example.com'])
  expect(rest[0]).toMatchObject({ hasPassword: false, passwordDisabled: false })
})

test('disabling ends every session at once; enabling brings none back', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  await t.login({ email: user.email, password: TEST_PASSWORD })
  expect(await disableUser(t.deps, byOperator(t.deps), user.userId)).toBe(2)
  expect(await liveFamilies(t, user.userId)).toEqual([])
  expect((await t.refresh(user.refreshToken)).statusCode).toBe(401)
  expect((await t.login({ email: user.email, password: TEST_PASSWORD })).statusCode).toBe(401)
  expect(await auditOf(t, 'user.disabled')).toHaveLength(1)
  expect((await auditOf(t, 'session.ended')).map((event) => [event.reason, event.actor])).toEqual([
    ['user_disabled', 'operator:ada'],
    ['user_disabled', 'operator:ada'],
  ])
  expect(await disableUser(t.deps, byOperator(t.deps), user.email)).toBe(0)
  expect(await auditOf(t, 'user.disabled')).toHaveLength(1)

  await enableUser(t.deps, byOperator(t.deps), user.email)
  expect((await t.login({ email: user.email, password: TEST_PASSWORD })).statusCode).toBe(200)
  expect((await t.refresh(user.refreshToken)).statusCode).toBe(401)
})

test('a sign-in to an account that was enabled again at once is none that verifiers take for revoked', async () => {
  await using t = await createTestApp()
  const { email, password } = await t.signUp()
  // To the beginning of a second, so that all happens within it.
  t.travel(1 - (t.deps.clock().getTime() % 1000) / 1000)
  await disableUser(t.deps, byOperator(t.deps), email)
  await enableUser(t.deps, byOperator(t.deps), email)
  const { iat } = claimsOf((await t.login({ email, password })).json().access_token)
  const told = await t.db.selectFrom('revocations').select('revoked_at').where('kind', '=', 'subject').execute()
  expect(told).toHaveLength(1)
  for (const { revoked_at: at } of told) expect(Number(iat)).toBeGreaterThan(Math.floor(at.getTime() / 1000))
})

test('an account that somebody disables while another one enables it stays disabled', async () => {
  await using t = await createTestApp()
  const { userId, email, password } = await t.signUp()
  await disableUser(t.deps, byOperator(t.deps), userId)
  // To where the enable waits for no second to pass.
  t.travel(2)
  // Both wait for the row, in this order: the enable has read what it outlasts before the disable is committed.
  const { disabling, enabling } = await t.db.transaction().execute(async (tx) => {
    await lockAccount(tx, userId)
    const second = disableUser(t.deps, byOperator(t.deps), userId)
    await waitForLocks(t.db, 1)
    const first = enableUser(t.deps, byOperator(t.deps), userId)
    await waitForLocks(t.db, 2)
    return { disabling: second, enabling: first }
  })
  expect([await disabling, await enabling]).toEqual([0, false])
  expect((await t.login({ email, password })).statusCode).toBe(401)
  expect(await auditOf(t, 'user.enabled')).toEqual([])
  expect(await enableUser(t.deps, byOperator(t.deps), userId)).toBe(true)
  expect((await t.login({ email, password })).statusCode).toBe(200)
})

test('a disable and sign-ins at the same time leave no live session', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  const attempts = Array.from({ length: 4 }, () => t.login({ email: user.email, password: TEST_PASSWORD }))
  await Promise.race(attempts)
  await disableUser(t.deps, byOperator(t.deps), user.userId)
  await Promise.all(attempts)
  expect(await liveFamilies(t, user.userId)).toEqual([])
})

test('new roles are in the next access token', async () => {
  await using t = await createTestApp()
  const user = await t.signUp()
  await setRoles(t.deps, byOperator(t.deps), user.email, ['editor', 'reviewer'])
  expect(await findUser(t.db, user.userId)).toMatchObject({ roles: ['editor', 'reviewer'] })
  expect((await t.refresh(user.refreshToken)).json().user.roles).toEqual(['editor', 'reviewer'])
  expect(await auditOf(t, 'user.roles_changed')).toMatchObject([
    { details: { before: [], after: ['editor', 'reviewer'] } },
  ])
})

test.each(['nobody@example.com', '00000000-0000-4000-8000-000000000000'])('%s is not found', async (who) => {
  await using t = await createTestApp()
  const acts = [
    () => findUser(t.db, who),
    () => disableUser(t.deps, byOperator(t.deps), who),
    () => enableUser(t.deps, byOperator(t.deps), who),
    () => setRoles(t.deps, byOperator(t.deps), who, []),
  ]
  for (const act of acts) await expect(act()).rejects.toMatchObject({ code: 'not_found' })
})
