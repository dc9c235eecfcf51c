import { expect, test, vi } from 'vitest'
import { issueCode } from '../../src/credentials/codes/codes.ts'
import { createUser } from '../../src/users/accounts.ts'
import { changeEmail, giveAddress } from '../../src/users/address.ts'
import { createTestApp, type SignedUp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { waitForLocks } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'
import {
  addressOf,
  ask,
  bearer,
  confirm,
  move,
  NEW,
  OLD,
  outcome,
  post,
  signIn,
  start,
  tokenTo,
  undo,
} from './address.ts'
import { auditOf, liveFamilies } from './support.ts'

const THIEF = 'mallory@example.net'
const NEXT = 'seven brisk herons glide'

test('a thief with session and password moves the account away; the owner takes it back, and the thief is out for good', async () => {
  await using t = await start()
  const thief = (await signIn(t, OLD)).json<{ access_token: string; refresh_token: string }>()
  // The limit of mails to the owner is used up, so that none goes there that is not beyond it.
  for (const name of ['a', 'b', 'c']) await ask(t, { accessToken: thief.access_token }, `${name}@example.net`)
  const wayBack = await move(t, t.mailboxes, { accessToken: thief.access_token }, { from: OLD, to: THIEF })
  // What a thief does to stay: another password, a reset and another change under way.
  const body = { current_password: TEST_PASSWORD, new_password: NEXT }
  expect((await post(t, '/password', body, { authorization: `Bearer ${thief.access_token}` })).statusCode).toBe(204)
  await post(t, '/password/forgot', { email: THIEF })
  const thiefsReset = await tokenTo(t, THIEF, 'reset-password')
  await ask(t, { accessToken: thief.access_token }, 'second@example.net', NEXT)
  const thiefsChange = await tokenTo(t, 'second@example.net', 'change-email')

  expect(outcome(await undo(t, wayBack))).toEqual([204, undefined])
  expect(await addressOf(t, t.user.userId)).toEqual({ email: OLD, email_verified: true })
  expect(await liveFamilies(t, t.user.userId)).toEqual([])
  expect((await t.refresh(thief.refresh_token)).statusCode).toBe(401)
  for (const email of [OLD, THIEF])
    for (const password of [TEST_PASSWORD, NEXT]) expect((await signIn(t, email, password)).statusCode).toBe(401)
  const refused = await post(t, '/password/reset', { token: thiefsReset, new_password: 'mine all mine now' })
  expect(outcome(refused)).toEqual([400, 'invalid_code'])
  expect(outcome(await confirm(t, { token: thiefsChange }))).toEqual([400, 'invalid_code'])
  expect(await auditOf(t, 'user.email_change_undone')).toMatchObject([{ outcome: 'success', user_id: t.user.userId }])
  expect((await auditOf(t, 'session.ended')).at(-1)).toMatchObject({ reason: 'email_change_undone' })

  const reset = await tokenTo(t, OLD, 'reset-password')
  const chosen = 'nine patient ravens wait'
  expect(outcome(await post(t, '/password/reset', { token: reset, new_password: chosen }))).toEqual([204, undefined])
  expect((await signIn(t, OLD, chosen)).statusCode).toBe(200)
  expect(outcome(await undo(t, wayBack))).toEqual([400, 'invalid_code'])
})

test('a way back that is used on two replicas at once works once', async () => {
  await using t = await start()
  await using other = await createTestApp({ join: t })
  const wayBack = await move(t, t.mailboxes, t.user, { from: OLD, to: NEW })
  const answers = await Promise.all([t, other, t, other].map((replica) => undo(replica, wayBack)))
  expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([204, 400, 400, 400])
  expect((await t.mailboxes.of(OLD)).filter(({ template }) => template === 'reset-password')).toHaveLength(1)
})

test.each([
  ['signs in', (t: TestApp) => signIn(t, THIEF)],
  ['asks for another address', (t: TestApp, user: SignedUp) => ask(t, user, 'second@example.net')],
])('a thief who %s while the account is taken back comes too late', async (_what, act) => {
  await using t = await start()
  const wayBack = await move(t, t.mailboxes, t.user, { from: OLD, to: THIEF })
  const compare = t.deps.hasher.verify
  vi.spyOn(t.deps.hasher, 'verify').mockImplementationOnce(async (...claim) => {
    const matches = await compare(...claim)
    expect(outcome(await undo(t, wayBack))).toEqual([204, undefined])
    return matches
  })
  expect(outcome(await act(t, t.user))).toEqual([401, 'invalid_credentials'])
  expect(await liveFamilies(t, t.user.userId)).toEqual([])
  expect(await t.mailboxes.of('second@example.net')).toEqual([])
})

test('after two changes the first mailbox has the last word, whatever the second one does', async () => {
  await using t = await start()
  const first = await move(t, t.mailboxes, t.user, { from: OLD, to: THIEF })
  const second = await move(t, t.mailboxes, t.user, { from: THIEF, to: 'second@example.net' })
  // The thief takes the second change back: that must not destroy the owner's way back from the first.
  expect(outcome(await undo(t, second))).toEqual([204, undefined])
  expect(await addressOf(t, t.user.userId)).toMatchObject({ email: THIEF })
  expect(outcome(await undo(t, first))).toEqual([204, undefined])
  expect(await addressOf(t, t.user.userId)).toMatchObject({ email: OLD })
})

test('the ways back of later changes are void then', async () => {
  await using t = await start()
  const first = await move(t, t.mailboxes, t.user, { from: OLD, to: THIEF })
  const second = await move(t, t.mailboxes, t.user, { from: THIEF, to: 'second@example.net' })
  expect(outcome(await undo(t, first))).toEqual([204, undefined])
  expect(outcome(await undo(t, second))).toEqual([400, 'invalid_code'])
  expect(await addressOf(t, t.user.userId)).toMatchObject({ email: OLD })
})

test('an address in between gets no way back, if the owner returns by another change', async () => {
  await using t = await start()
  await move(t, t.mailboxes, t.user, { from: OLD, to: THIEF })
  await ask(t, t.user, OLD)
  expect(outcome(await confirm(t, { token: await tokenTo(t, OLD, 'change-email') }))).toEqual([204, undefined])
  const toThief = (await t.mailboxes.of(THIEF)).map(({ template }) => template)
  expect(toThief).not.toContain('email-changed')
  expect(toThief).toContain('email-change-undone')
})

test('the owner is told in the language of the first sign-in, whatever the thief speaks, and so is the address in between', async () => {
  await using t = await start()
  const russian = { 'accept-language': 'ru' }
  await post(t, '/email', { email: THIEF, current_password: TEST_PASSWORD }, { ...bearer(t.user), ...russian })
  const asked = await t.mailboxes.one(OLD, 'email-change-asked')
  const link = await t.mailboxes.one(THIEF, 'change-email')
  expect(outcome(await confirm(t, { token: link.token }, russian))).toEqual([204, undefined])
  const changed = await t.mailboxes.one(OLD, 'email-changed')
  expect([asked.locale, link.locale, changed.locale]).toEqual(['en', 'ru', 'en'])
  // Whoever reads the mailbox of an address that was given up may be somebody else: the one that is left is told.
  expect(outcome(await post(t, '/email/undo', { token: changed.token }, russian))).toEqual([204, undefined])
  const told = { to: THIEF, template: 'email-change-undone', newEmail: OLD, locale: 'en' }
  expect(await t.mailboxes.of(THIEF)).toMatchObject([told])
})

test.each<[string, (t: TestApp, other: SignedUp) => Promise<unknown>]>([
  ['registers', (t) => t.register(OLD, TEST_PASSWORD).then((answer) => answer.json())],
  ['is given it by an operator', (t, other) => changeEmail(t.deps, byOperator(t.deps), other.userId, OLD)],
])('who %s at the moment in which the address is left waits, and does not get it', async (_what, take) => {
  await using t = await start()
  const { userId } = t.user
  const other = await t.signUp('other@example.com')
  const [written, leave] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const leaving = t.deps.db.transaction().execute(async (tx) => {
    await giveAddress(tx, t.deps.serverKeys, userId, { email: NEW, verified: true, now: t.deps.clock() })
    const about = { purpose: 'undo_email_change', userId, email: OLD } as const
    await issueCode(tx, t.deps.serverKeys, t.deps.clock(), about)
    written.resolve()
    await leave.promise
  })
  await written.promise
  const taking = take(t, other).catch((error: unknown) => error)
  await waitForLocks(t.db, 1)
  leave.resolve()
  await leaving
  expect(await taking).toMatchObject({ code: 'email_taken' })
  expect((await t.db.selectFrom('users').select('email').execute()).map(({ email }) => email)).not.toContain(OLD)
})

test('nobody else gets the address while it may be taken back, not even at the moment in which it is left', async () => {
  await using t = await start()
  const other = await t.signUp('other@example.com')
  await ask(t, other, OLD)
  await ask(t, t.user, NEW)
  const token = await tokenTo(t, NEW, 'change-email')
  const tries = () => [
    () => t.register(OLD, TEST_PASSWORD),
    () => createUser(t.deps, byOperator(t.deps), { email: OLD, password: null, roles: [] }),
    () => changeEmail(t.deps, byOperator(t.deps), other.userId, OLD),
  ]
  const attempts = [...tries(), () => confirm(t, { token }), ...tries()]
  await Promise.allSettled(attempts.map((attempt) => attempt()))
  expect(await addressOf(t, t.user.userId)).toMatchObject({ email: NEW })
  const wayBack = await tokenTo(t, OLD, 'email-changed')
  for (const attempt of tries()) {
    const result = await attempt().catch((error: { code: string }) => error)
    expect('body' in result ? result.json() : result).toMatchObject({ code: 'email_taken' })
  }
  expect((await t.db.selectFrom('users').select('email').execute()).map(({ email }) => email)).not.toContain(OLD)
  expect(outcome(await undo(t, wayBack))).toEqual([204, undefined])
})

test('after seven days the address is free', async () => {
  await using t = await start()
  await move(t, t.mailboxes, t.user, { from: OLD, to: NEW })
  t.travel(7 * 86_400 + 1)
  expect((await t.register(OLD, TEST_PASSWORD)).statusCode).toBe(201)
})

test('if another account has the address all the same, nothing changes and the link stays good', async () => {
  await using t = await start()
  const wayBack = await move(t, t.mailboxes, t.user, { from: OLD, to: NEW })
  const holder = await t.signUp('holder@example.com')
  const write = (email: string) => t.db.updateTable('users').set({ email }).where('id', '=', holder.userId).execute()
  await write(OLD)
  expect(outcome(await undo(t, wayBack))).toEqual([409, 'email_taken'])
  expect(await addressOf(t, t.user.userId)).toMatchObject({ email: NEW })
  expect(await liveFamilies(t, t.user.userId)).toHaveLength(1)
  await write('holder@example.com')
  expect(outcome(await undo(t, wayBack))).toEqual([204, undefined])
})
