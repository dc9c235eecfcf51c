import { afterAll, describe, expect, test } from 'vitest'
import { invite } from '../../src/users/invite.ts'
import { delivered, linked } from '../sign-in/mailbox.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'
import { liveFamilies } from '../users/support.ts'
import { openBrowser, textOf } from './support.ts'

const t = await createTestApp({ env: { EMAIL_VERIFICATION: 'required' } })
// Accounts from before verification was switched on.
const open = await createTestApp({ join: t, env: { EMAIL_VERIFICATION: 'off' } })
afterAll(async () => {
  await open[Symbol.asyncDispose]()
  await t[Symbol.asyncDispose]()
})

/** Carries out what was asked. @returns what has come to an address. */
const mailsTo = async (address: string) => (await delivered(t)).filter(({ to }) => to === address)
/** Carries out what was asked, and reads what has come to an address. */
const mailed = async (address: string, template: Parameters<typeof linked>[1]) =>
  linked(
    (await delivered(t)).filter(({ to }) => to === address),
    template,
  )
const NEXT = 'seven brisk herons glide'
const address = () => `${crypto.randomUUID()}@example.com`

describe('an account that has to be verified', () => {
  test('is answered alike whether or not the address has an account', async () => {
    const { email } = await open.signUp()
    const answers = []
    for (const who of [email, address()]) {
      const browser = openBrowser(t)
      const answer = await browser.send('/account/register', { email: who, password: TEST_PASSWORD })
      expect(answer.statusCode).toBe(200)
      expect(browser.cookie).toBeUndefined()
      answers.push(answer.body.replaceAll(who, 'somebody'))
    }
    expect(answers[0]).toBe(answers[1])
  })

  test.each(['token', 'code'] as const)('is verified by the %s, after which its owner signs in', async (way) => {
    const email = address()
    const browser = openBrowser(t)
    await browser.send('/account/register', { email, password: TEST_PASSWORD })
    const mail = await mailed(email, 'verify-email')
    const early = await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })
    expect([early.statusCode, textOf(early)]).toEqual([403, expect.stringContaining('has not been confirmed yet')])
    expect(early.body).toContain('href="/account/resend"')
    const proof = way === 'token' ? { token: mail.token } : { email, code: mail.code }
    const answer = await browser.send('/account/verify', { ...proof, password: TEST_PASSWORD })
    expect([answer.statusCode, textOf(answer)]).toEqual([200, expect.stringContaining('Your address is confirmed')])
    expect(browser.cookie).toBeUndefined()
    expect((await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })).statusCode).toBe(303)
  })

  test('that a stranger registered is worth nothing to the stranger', async () => {
    const email = address()
    await openBrowser(t).send('/account/register', { email, password: TEST_PASSWORD })
    const { token } = await mailed(email, 'verify-email')
    await openBrowser(t).send('/account/verify', { token, password: NEXT })
    expect((await openBrowser(t).send('/account/sign-in', { email, password: TEST_PASSWORD })).statusCode).toBe(401)
    expect((await openBrowser(t).send('/account/sign-in', { email, password: NEXT })).statusCode).toBe(303)
  })

  test('gets another mail, in the language of the page', async () => {
    const email = address()
    await openBrowser(t).send('/account/register', { email, password: TEST_PASSWORD })
    await mailed(email, 'verify-email')
    const answer = await openBrowser(t).send('/account/resend?ui_locales=de', { email })
    expect(textOf(answer)).toContain('Prüfen Sie Ihr Postfach')
    expect(await mailed(email, 'verify-email')).toMatchObject({ locale: 'de' })
  })
})

describe('a forgotten password', () => {
  test.each(['token', 'code'] as const)('is set anew by the %s, and every session ends', async (way) => {
    const { email, userId } = await open.signUp()
    const asked = await openBrowser(t).send('/account/forgot', { email })
    expect([asked.statusCode, textOf(asked)]).toEqual([200, expect.stringContaining('a mail is on its way')])
    const mail = await mailed(email, 'reset-password')
    const proof = way === 'token' ? { token: mail.token } : { email, code: mail.code }
    const weak = await openBrowser(t).send('/account/reset', { ...proof, password: 'password123' })
    expect(weak.statusCode).toBe(400)
    expect(weak.body).toContain('id="password-fault" role="alert">This password is too easy to guess.')
    // What was wrong was not the link: it is still there.
    if (way === 'token') expect(weak.body).toContain(`name="token" value="${mail.token}"`)
    const answer = await openBrowser(t).send('/account/reset', { ...proof, password: NEXT })
    expect([answer.statusCode, textOf(answer)]).toEqual([200, expect.stringContaining('Your password has been set')])
    expect(await liveFamilies(t, userId)).toEqual([])
    expect((await openBrowser(t).send('/account/sign-in', { email, password: NEXT })).statusCode).toBe(303)
    const again = await openBrowser(t).send('/account/reset', { ...proof, password: NEXT })
    expect([again.statusCode, textOf(again)]).toEqual([400, expect.stringContaining('is not valid')])
    expect(again.body).not.toContain(mail.token)
  })

  test('is answered alike whether or not there is an account', async () => {
    const { email } = await open.signUp()
    const answers = []
    for (const who of [email, address()])
      answers.push((await openBrowser(t).send('/account/forgot', { email: who })).body.replaceAll(who, 'somebody'))
    expect(answers[0]).toBe(answers[1])
  })
})

describe('another address', () => {
  test.each(['token', 'code'] as const)('takes effect by the %s, and the old one can take it back', async (way) => {
    const { email, userId } = await open.signUp()
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })
    const wanted = address()
    const wrong = await browser.send('/account/change-email', { email: wanted, current_password: 'no' })
    expect([wrong.statusCode, wrong.body]).toEqual([401, expect.stringContaining('This is not your current password.')])
    await browser.send('/account/change-email', { email: wanted, current_password: TEST_PASSWORD })
    const mail = linked(await mailsTo(wanted), 'change-email')
    expect(textOf(await browser.get('/account'))).toContain(email)
    // A link works on another device; a code only where somebody is signed in.
    if (way === 'code') {
      const stranger = await openBrowser(t).send('/account/email', { code: mail.code })
      expect([stranger.statusCode, textOf(stranger)]).toEqual([
        401,
        expect.stringContaining('You are not signed in here.'),
      ])
      expect(stranger.body).toContain('href="/account/sign-in"')
    }
    const by = way === 'token' ? openBrowser(t) : browser
    const done = await by.send('/account/email', way === 'token' ? { token: mail.token } : { code: mail.code })
    expect([done.statusCode, textOf(done)]).toEqual([200, expect.stringContaining('Your address has been changed')])
    expect(textOf(await browser.get('/account'))).toContain(wanted)

    const mine = await mailsTo(email)
    const { token } = mine.find((each) => each.template === 'email-changed') as { token: string }
    const undone = await openBrowser(t).send('/account/undo', { token })
    expect([undone.statusCode, textOf(undone)]).toEqual([200, expect.stringContaining('Your old address is back')])
    expect(await liveFamilies(t, userId)).toEqual([])
    expect((await openBrowser(t).send('/account/sign-in', { email, password: TEST_PASSWORD })).statusCode).toBe(401)
  })
})

describe('an invitation', () => {
  test('makes the account of whoever was invited, once', async () => {
    const email = address()
    await invite(t.deps, byOperator(t.deps), { email, roles: ['editor'], mail: 'en' })
    const { token } = await mailed(email, 'invitation')
    const browser = openBrowser(t)
    const answer = await browser.send('/account/invitation', { token, password: NEXT })
    expect([answer.statusCode, textOf(answer)]).toEqual([200, expect.stringContaining('Your account has been created')])
    expect((await browser.send('/account/sign-in', { email, password: NEXT })).statusCode).toBe(303)
    expect((await browser.send('/account/invitation', { token, password: NEXT })).statusCode).toBe(400)
  })
})

const MAILED = ['/account/reset', '/account/verify', '/account/invitation', '/account/email', '/account/undo']

test.each(MAILED)('%s takes nothing from its address, and a GET or HEAD of it changes nothing', async (path) => {
  const rows = () => t.db.selectFrom('one_time_codes').selectAll().orderBy('id').execute()
  const { email } = await open.signUp()
  await openBrowser(t).send('/account/forgot', { email })
  const { token } = await mailed(email, 'reset-password')
  const before = await rows()
  for (const method of ['GET', 'HEAD'] as const) {
    expect((await t.inject({ method, url: path })).statusCode).toBe(200)
    expect((await t.inject({ method, url: `${path}?token=${token}` })).statusCode).toBe(400)
  }
  expect(await rows()).toEqual(before)
})

test.each([
  ['/account/reset', { token: '', email: '', code: '', password: NEXT }, 'email'],
  ['/account/reset', { token: '', email: 'ada@example.com', code: '', password: NEXT }, 'code'],
  ['/account/reset', { token: 'x', password: '' }, 'password'],
  ['/account/email', { token: '', code: '' }, 'code'],
  ['/account/undo', { token: '' }, 'token'],
] as const)('%s tells which field is empty: %j', async (path, fields, field) => {
  const answer = await openBrowser(t).send(path, fields)
  expect(answer.statusCode).toBe(400)
  expect(answer.body).toContain(`id="${field}-fault" role="alert">Please fill this in.`)
})

test.each([
  ['/account/reset', { password: NEXT }],
  ['/account/email', {}],
  ['/account/undo', {}],
] as const)(
  '%s keeps a link that has not been judged, and drops one that is good for nothing',
  async (path, others) => {
    const fields = { token: 'none-such', ...others }
    const judged = await openBrowser(t).send(path, fields)
    expect([judged.statusCode, judged.body.includes('none-such')]).toEqual([400, false])
    await using narrow = await createTestApp({ join: t, env: { RATE_LIMIT_LOGIN_PER_MINUTE: '1' } })
    await openBrowser(narrow).send(path, fields)
    const putOff = await openBrowser(narrow).send(path, fields)
    expect([putOff.statusCode, putOff.body.includes('value="none-such"')]).toEqual([429, true])
  },
)

test('where no mail can be sent, there is no page that needs one', async () => {
  await using off = await createTestApp({
    join: t,
    env: { NODE_ENV: 'production', EMAIL_VERIFICATION: 'off', ISSUER: 'https://auth.example.com' },
  })
  for (const page of ['forgot', 'resend', 'reset', 'verify', 'change-email', 'email', 'undo'])
    expect([page, (await openBrowser(off).get(`/account/${page}`)).statusCode]).toEqual([page, 404])
  expect((await openBrowser(off).get('/account/sign-in')).body).not.toContain('/account/forgot')
})
