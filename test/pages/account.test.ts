import { afterAll, expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { auditOf, liveFamilies } from '../users/support.ts'
import { type Browser, openBrowser, textOf } from './support.ts'

const t = await createTestApp()
afterAll(() => t[Symbol.asyncDispose]())
const NEXT = 'seven brisk herons glide'
const WINDOWS = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0'

async function signedIn(): Promise<{ browser: Browser; email: string; userId: string; elsewhere: string }> {
  const { email, userId } = await t.signUp()
  const browser = openBrowser(t)
  await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })
  const elsewhere = (await t.login({ email, password: TEST_PASSWORD }, { 'user-agent': WINDOWS })).json().refresh_token
  return { browser, email, userId, elsewhere: String(elsewhere) }
}

const idsOn = ({ body }: { body: string }) => [...body.matchAll(/name="id" value="([^"]+)"/g)].map(([, id = '']) => id)

test('shows whose account it is and where it is signed in, this browser first', async () => {
  const { browser, email } = await signedIn()
  const answer = await browser.get('/account')
  const text = textOf(answer)
  expect(text).toContain(email)
  expect(text).toMatch(/This browser.*Firefox, Windows/)
  // All but this browser's session can be ended here; this one by signing out.
  expect(idsOn(answer)).toHaveLength(2)
})

test('leads back to the site that led there', async () => {
  const { browser } = await signedIn()
  const there = '<a href="http://localhost:5173/#signed-in">Continue to localhost:5173</a>'
  expect((await browser.get('/account?return_to=http://localhost:5173')).body).toContain(there)
  expect((await browser.get('/account')).body).not.toContain('#signed-in')
})

test('ends one session, or all others', async () => {
  const { browser, userId, elsewhere } = await signedIn()
  const page = await browser.get('/account')
  const windows = /value="([^"]+)">\s*<button type="submit" aria-label="End the session of Firefox, Windows"/.exec(
    page.body,
  )
  expect(textOf(await browser.send('/account', { id: windows?.[1] ?? '' }))).toContain('The session has ended.')
  expect((await t.refresh(elsewhere)).statusCode).toBe(401)
  expect(await liveFamilies(t, userId)).toHaveLength(2)
  expect(textOf(await browser.send('/account', { others: 'yes' }))).toContain('All other sessions have ended.')
  expect(await liveFamilies(t, userId)).toHaveLength(1)
  expect((await browser.get('/account')).statusCode).toBe(200)
  expect((await auditOf(t, 'session.ended')).filter((row) => row.actor === `user:${userId}`)).toHaveLength(2)
})

test('ends nobody else’s session, whatever id is sent', async () => {
  const [one, other] = [await signedIn(), await signedIn()]
  const theirs = idsOn(await other.browser.get('/account'))
  const live = await liveFamilies(t, other.userId)
  for (const id of [...theirs, 'nonsense', "' OR 1=1--", crypto.randomUUID(), ''])
    expect(textOf(await one.browser.send('/account', { id }))).toContain('had already ended')
  expect(await liveFamilies(t, other.userId)).toEqual(live)
})

test('changes the password of somebody who knows it, and ends the other sessions', async () => {
  const { browser, email, userId, elsewhere } = await signedIn()
  const wrong = await browser.send('/account/password', { current_password: 'no', new_password: NEXT })
  expect(wrong.statusCode).toBe(401)
  expect(wrong.body).toContain('id="current_password-fault" role="alert">This is not your current password.')
  expect(await liveFamilies(t, userId)).toHaveLength(3)

  const weak = await browser.send('/account/password', { current_password: TEST_PASSWORD, new_password: 'password123' })
  expect(weak.statusCode).toBe(400)
  expect(weak.body).toContain('id="new_password-fault" role="alert">This password is too easy to guess.')

  const done = await browser.send('/account/password', { current_password: TEST_PASSWORD, new_password: NEXT })
  expect([done.statusCode, textOf(done)]).toEqual([200, expect.stringContaining('Your password has been changed')])
  expect((await t.refresh(elsewhere)).statusCode).toBe(401)
  expect((await browser.get('/account')).statusCode).toBe(200)
  expect((await t.login({ email, password: NEXT })).statusCode).toBe(200)
  expect((await auditOf(t, 'password.changed')).at(-1)).toMatchObject({ outcome: 'success', actor: `user:${userId}` })
})

test('a stolen browser session does not get around the back-off', async () => {
  const { browser } = await signedIn()
  const guess = (current_password: string) =>
    browser.send('/account/password', { current_password, new_password: NEXT })
  for (let sent = 0; sent < 5; sent++) expect((await guess(`guess ${sent}`)).statusCode).toBe(401)
  const answer = await guess(TEST_PASSWORD)
  expect([answer.statusCode, textOf(answer)]).toEqual([429, expect.stringContaining('Try again in 30 seconds.')])
})

test('somebody who is not signed in is sent to sign in, and a form without a session does nothing', async () => {
  const browser = openBrowser(t)
  for (const path of ['/account', '/account/password']) {
    const answer = await browser.get(`${path}?ui_locales=de`)
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/account/sign-in?ui_locales=de'])
  }
  for (const [path, fields] of [
    ['/account', { others: 'yes' }],
    ['/account/password', { current_password: TEST_PASSWORD, new_password: NEXT }],
  ] as const) {
    const answer = await browser.send(path, fields)
    expect([answer.statusCode, textOf(answer)]).toEqual([401, expect.stringContaining('Sign in again.')])
  }
})

test('who comes from another site, without the cookie, is led to ask again from here', async () => {
  const answer = await openBrowser(t).get('/account?theme=dark', { 'sec-fetch-site': 'cross-site' })
  expect(answer.statusCode).toBe(200)
  expect(answer.body).toContain('<meta http-equiv="refresh" content="0; url=/account?theme=dark">')
})

test('an access token opens no page, and a page’s cookie no endpoint', async () => {
  const { accessToken } = await t.signUp()
  expect((await openBrowser(t).get('/account', { authorization: `Bearer ${accessToken}` })).statusCode).toBe(303)
  const { browser } = await signedIn()
  expect((await browser.get('/me')).statusCode).toBe(401)
})

test('with two cookies of one name, nobody is signed in', async () => {
  const { browser } = await signedIn()
  const cookie = `__Host-refresh_token=${browser.cookie}; __Host-refresh_token=${browser.cookie}`
  expect((await browser.get('/account', { cookie })).statusCode).toBe(303)
})

test('a disabled user, and one whose session was ended elsewhere, is no longer signed in', async () => {
  const { browser, userId } = await signedIn()
  await t.db
    .updateTable('families')
    .set({ ended_at: new Date(), end_cause: 'logout' })
    .where('user_id', '=', userId)
    .execute()
  expect((await browser.get('/account')).statusCode).toBe(303)
})
