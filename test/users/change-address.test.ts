import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test } from 'vitest'
import { disableUser, enableUser } from '../../src/users/accounts.ts'
import { changeEmail } from '../../src/users/address.ts'
import { askForAddress } from '../../src/users/change-address.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
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
import { auditOf, statements } from './support.ts'

const THIEF = 'mallory@example.net'
const NEXT = 'seven brisk herons glide'

describe('a change', () => {
  test('takes effect when the new mailbox is proved, from any device; sessions go on', async () => {
    await using t = await start()
    const { user } = t
    const asked = await ask(t, user, 'Countess@Example.org')
    expect([asked.statusCode, asked.body, asked.headers['content-type']]).toEqual([202, '', undefined])
    expect(await addressOf(t, user.userId)).toEqual({ email: OLD, email_verified: false })
    expect(await t.mailboxes.of(OLD)).toMatchObject([{ template: 'email-change-asked', newEmail: NEW }])
    const [mail, ...more] = await t.mailboxes.of(NEW)
    expect(mail).toMatchObject({ template: 'change-email', to: NEW, asked: { address: '127.0.0.1' } })
    expect(more).toEqual([])

    expect(outcome(await confirm(t, { token: (mail as { token: string }).token }))).toEqual([204, undefined])
    expect(await addressOf(t, user.userId)).toEqual({ email: NEW, email_verified: true })
    const refreshed = await t.refresh(user.refreshToken)
    expect(refreshed.json()).toMatchObject({ user: { email: NEW, email_verified: true } })
    expect((await signIn(t, OLD)).statusCode).toBe(401)
    expect((await signIn(t, NEW)).statusCode).toBe(200)
    expect(await t.mailboxes.of(OLD)).toMatchObject([{ template: 'email-changed', newEmail: NEW }])
    expect(await t.mailboxes.of(NEW)).toEqual([])

    const trail = await t.db.selectFrom('audit').selectAll().execute()
    expect(trail.filter(({ type }) => type.startsWith('user.email'))).toMatchObject([
      { type: 'user.email_change_requested', outcome: 'success', actor: `user:${user.userId}`, user_id: user.userId },
      { type: 'user.email_changed', outcome: 'success', actor: 'anonymous', user_id: user.userId },
    ])
    for (const word of ['ada@', 'countess']) expect(JSON.stringify(trail)).not.toContain(word)
  })

  test('is confirmed by the code too, but only by the user who asked', async () => {
    await using t = await start()
    const other = await t.signUp()
    await ask(t, t.user, NEW)
    const [mail] = await t.mailboxes.of(NEW)
    const { code } = mail as { code: string }
    const anonymous = await confirm(t, { code })
    expect(outcome(anonymous)).toEqual([401, 'invalid_token'])
    expect(anonymous.headers['www-authenticate']).toMatch(/^Bearer realm=/)
    expect(outcome(await confirm(t, { code }, bearer(other)))).toEqual([400, 'invalid_code'])
    expect(outcome(await confirm(t, { code }, { authorization: 'Bearer x.y.z' }))).toEqual([401, 'invalid_token'])
    expect(outcome(await confirm(t, { code }, bearer(t.user)))).toEqual([204, undefined])
    expect(await addressOf(t, t.user.userId)).toEqual({ email: NEW, email_verified: true })
  })

  test('is asked for with the password; wrong ones count as failed sign-ins', async () => {
    await using t = await start()
    for (let i = 0; i < 5; i++)
      expect(outcome(await ask(t, t.user, NEW, 'a guess'))).toEqual([401, 'invalid_credentials'])
    expect(outcome(await ask(t, t.user, NEW))).toEqual([429, 'too_many_requests'])
    expect((await signIn(t, OLD)).statusCode).toBe(429)
    expect(await t.mailboxes.of(NEW)).toEqual([])
    const events = await auditOf(t, 'user.email_change_requested')
    expect(events.map(({ reason }) => reason)).toEqual(['wrong_password', 'backoff'])
  })

  test('is that of the user who is signed in, whatever address the account has by then', async () => {
    await using t = await start()
    const { userId, email } = t.user
    await changeEmail(t.deps, byOperator(t.deps), userId, 'moved@example.com')
    await t.mailboxes.of(OLD)
    const other = await t.signUp(OLD)
    // As the access token was found good, before both.
    const principal = { subject: { id: userId, email }, sessionId: crypto.randomUUID(), clientId: 'web' }
    const input = { email: NEW, currentPassword: TEST_PASSWORD, locale: 'en' } as const
    await askForAddress(t.deps, byOperator(t.deps), principal, input)
    expect(await t.mailboxes.of('moved@example.com')).toMatchObject([{ template: 'email-change-asked', newEmail: NEW }])
    expect(await t.mailboxes.of(OLD)).toEqual([])
    expect(outcome(await confirm(t, { token: await tokenTo(t, NEW, 'change-email') }))).toEqual([204, undefined])
    expect(await addressOf(t, userId)).toMatchObject({ email: NEW })
    expect(await addressOf(t, other.userId)).toMatchObject({ email: OLD })
  })

  test.each([
    ['/email', { email: 'not an address', current_password: TEST_PASSWORD }, 'invalid_email'],
    ['/email', { email: OLD, current_password: TEST_PASSWORD }, 'invalid_email'],
    ['/email', { email: NEW }, 'invalid_request'],
    ['/email/confirm', {}, 'invalid_request'],
    ['/email/confirm', { token: 'x', code: '12345678' }, 'invalid_request'],
    ['/email/confirm', { token: 'x', email: NEW }, 'invalid_request'],
    ['/email/confirm', { token: 'no link of ours' }, 'invalid_code'],
    ['/email/confirm', { code: '12345678' }, 'invalid_code'],
    ['/email/undo', {}, 'invalid_request'],
    ['/email/undo', { token: 'no link of ours' }, 'invalid_code'],
  ])('%s refuses %j', async (url, body, code) => {
    await using t = await start()
    expect(outcome(await post(t, url, body, bearer(t.user)))).toEqual([400, code])
    expect(await addressOf(t, t.user.userId)).toEqual({ email: OLD, email_verified: false })
  })

  test('is not there where no mail is sent', async () => {
    const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }
    await using t = await createTestApp({ env: production })
    for (const url of ['/email', '/email/confirm', '/email/undo'])
      expect(outcome(await post(t, url, { token: 'x' }))).toEqual([404, 'not_found'])
  })

  test('nothing changes by opening a link', async () => {
    await using t = await start()
    await ask(t, t.user, NEW)
    const token = await tokenTo(t, NEW, 'change-email')
    for (const method of ['GET', 'HEAD'] as const)
      expect((await t.inject({ method, url: '/email/confirm' })).statusCode).toBe(405)
    expect((await t.inject({ method: 'POST', url: `/email/confirm?token=${token}` })).statusCode).toBe(400)
    expect(await addressOf(t, t.user.userId)).toMatchObject({ email: OLD })
    expect(outcome(await confirm(t, { token }))).toEqual([204, undefined])
  })
})

describe('an address that has an account', () => {
  test('is answered like any other, by the same statements; its owner is told, and no link goes out', async () => {
    await using t = await start()
    const owner = await t.signUp(NEW)
    const answers: LightMyRequestResponse[] = []
    const kinds: string[][] = []
    for (const wanted of ['nobody@example.org', NEW])
      kinds.push(await statements(t, async () => void answers.push(await ask(t, t.user, wanted))))
    expect(answers[0]?.statusCode).toBe(202)
    const [free, taken] = answers.map((answer) => ({
      ...answer.headers,
      'x-request-id': '',
      date: '',
      body: answer.body,
    }))
    expect(taken).toEqual(free)
    expect(kinds[1]).toEqual(kinds[0])
    expect(await t.mailboxes.of(NEW)).toMatchObject([{ template: 'account-exists' }])
    expect(await addressOf(t, owner.userId)).toMatchObject({ email: NEW })
  })

  test('is not told by what becomes of the link for another address', async () => {
    await using t = await start()
    await t.signUp(NEW)
    for (const wanted of ['nobody@example.org', NEW]) {
      await ask(t, t.user, 'mine@example.org')
      const token = await tokenTo(t, 'mine@example.org', 'change-email')
      await ask(t, t.user, wanted)
      expect(outcome(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
      t.travel(86_400)
      t.user.accessToken = (await signIn(t, OLD)).json().access_token
    }
  })

  test('nor by that after it has had all the mails it may', async () => {
    await using t = await start()
    for (let i = 0; i < 3; i++) await ask(t, t.user, NEW)
    await ask(t, t.user, 'mine@example.org')
    const token = await tokenTo(t, 'mine@example.org', 'change-email')
    await ask(t, t.user, NEW)
    expect(outcome(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
  })
})

test('an address gets three mails an hour; beyond that the answer is the same and the newest link stays good', async () => {
  await using t = await start()
  for (let i = 0; i < 5; i++) expect(outcome(await ask(t, t.user, NEW))).toEqual([202, undefined])
  const mails = await t.mailboxes.of(NEW)
  expect(mails).toHaveLength(3)
  expect(await t.mailboxes.of(OLD)).toHaveLength(3)
  const tokens = mails.map((mail) => (mail as { token: string }).token)
  for (const token of tokens.slice(0, 2)) expect(outcome(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
  expect(outcome(await confirm(t, { token: tokens[2] }))).toEqual([204, undefined])
  // The old one has had its three, and is told all the same.
  expect(await t.mailboxes.of(OLD)).toMatchObject([{ template: 'email-changed' }])
})

test('an account asks ten times a day at most, however many addresses it names; others ask none the less', async () => {
  await using t = await start()
  const stranger = (n: number) => `stranger${n}@example.org`
  for (let n = 0; n < 10; n++) expect(outcome(await ask(t, t.user, stranger(n)))).toEqual([202, undefined])
  const refused = await ask(t, t.user, stranger(10))
  expect([...outcome(refused), refused.headers['retry-after']]).toEqual([429, 'too_many_requests', '3600'])
  // Its counters are nobody's business, and it is no failure to sign in.
  expect([refused.headers.ratelimit, refused.json()['violated-policies']]).toEqual([undefined, []])
  expect(await t.mailboxes.of(stranger(10))).toEqual([])
  const other = await t.signUp()
  expect(outcome(await ask(t, other, NEW))).toEqual([202, undefined])
  expect(outcome(await confirm(t, { token: await tokenTo(t, stranger(9), 'change-email') }))).toEqual([204, undefined])
  t.travel(86_400)
  const user = { accessToken: (await signIn(t, stranger(9))).json().access_token as string }
  expect(outcome(await ask(t, user, stranger(10)))).toEqual([202, undefined])
})

test('a link is good for an hour, and a way back for seven days', async () => {
  await using t = await start({ SESSION_IDLE_SECONDS: '86400' })
  await ask(t, t.user, NEW)
  const late = await tokenTo(t, NEW, 'change-email')
  t.travel(3601)
  expect(outcome(await confirm(t, { token: late }))).toEqual([400, 'invalid_code'])
  const user = { accessToken: (await signIn(t, OLD)).json().access_token as string }
  const back = await move(t, t.mailboxes, user, { from: OLD, to: NEW })
  t.travel(7 * 86_400 + 1)
  expect(outcome(await undo(t, back))).toEqual([400, 'invalid_code'])
  expect(await addressOf(t, t.user.userId)).toMatchObject({ email: NEW })
})

test('a link that is used on two replicas at once works once', async () => {
  await using t = await start()
  await using other = await createTestApp({ join: t })
  await ask(t, t.user, NEW)
  const token = await tokenTo(t, NEW, 'change-email')
  const answers = await Promise.all([t, other, t, other].map((replica) => confirm(replica, { token })))
  expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([204, 400, 400, 400])
  expect(await auditOf(t, 'user.email_changed')).toHaveLength(4 - 3 + 1)
  expect(await t.mailboxes.of(OLD)).toHaveLength(2)
})

test('of two accounts that confirm one address one gets it; the other keeps its own, and its link', async () => {
  await using t = await start()
  const rival = await t.signUp('rival@example.com')
  const tokens: string[] = []
  for (const user of [t.user, rival]) {
    await ask(t, user, NEW)
    tokens.push(await tokenTo(t, NEW, 'change-email'))
  }
  const answers = await Promise.all(tokens.map((token) => confirm(t, { token })))
  expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([204, 409])
  const [first, second] = answers[0]?.statusCode === 204 ? [t.user, rival] : [rival, t.user]
  const loser = tokens[answers.findIndex(({ statusCode }) => statusCode === 409)]
  expect(await addressOf(t, first.userId)).toMatchObject({ email: NEW })
  expect(await addressOf(t, second.userId)).toMatchObject({ email: second.email })
  await t.db.updateTable('users').set({ email: 'moved@example.com' }).where('id', '=', first.userId).execute()
  expect(outcome(await confirm(t, { token: loser }))).toEqual([204, undefined])
})

describe('what else was mailed', () => {
  test('a change of the password voids the link, so that a thief’s change does not outlive it', async () => {
    await using t = await start()
    await ask(t, t.user, THIEF)
    const token = await tokenTo(t, THIEF, 'change-email')
    const body = { current_password: TEST_PASSWORD, new_password: NEXT }
    expect((await post(t, '/password', body, bearer(t.user))).statusCode).toBe(204)
    expect(outcome(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
  })

  test('a reset for the old address is void once the account has another', async () => {
    await using t = await start()
    await post(t, '/password/forgot', { email: OLD })
    const reset = await tokenTo(t, OLD, 'reset-password')
    await move(t, t.mailboxes, t.user, { from: OLD, to: NEW })
    // Nothing is left of it, for the day on which the account returns to that address.
    expect(await t.db.selectFrom('one_time_codes').select('purpose').execute()).toEqual([
      { purpose: 'undo_email_change' },
    ])
    expect(outcome(await post(t, '/password/reset', { token: reset, new_password: NEXT }))).toEqual([
      400,
      'invalid_code',
    ])
    expect((await signIn(t, NEW)).statusCode).toBe(200)
  })

  test('the link of a disabled account waits until it is enabled', async () => {
    await using t = await start()
    await ask(t, t.user, NEW)
    const token = await tokenTo(t, NEW, 'change-email')
    await disableUser(t.deps, byOperator(t.deps), t.user.userId)
    expect(outcome(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
    await enableUser(t.deps, byOperator(t.deps), t.user.userId)
    expect(outcome(await confirm(t, { token }))).toEqual([204, undefined])
  })
})
