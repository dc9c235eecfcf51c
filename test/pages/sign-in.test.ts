import { afterAll, describe, expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { auditOf, liveFamilies } from '../users/support.ts'
import { openBrowser, textOf } from './support.ts'

const APP = 'https://app.example.com'
const t = await createTestApp({ env: { ALLOWED_ORIGINS: APP, ISSUER: 'https://auth.example.com' } })
afterAll(() => t[Symbol.asyncDispose]())

const BACK = `return_to=${encodeURIComponent(APP)}`
const address = () => `${crypto.randomUUID()}@example.com`

async function account() {
  const email = address()
  await t.register(email, TEST_PASSWORD)
  return { email, password: TEST_PASSWORD }
}

describe('signing in', () => {
  test('starts a session of the kind that the API starts, in the same cookie', async () => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    const answer = await browser.send('/account/sign-in', { email, password })
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/account'])
    expect(answer.headers['set-cookie']?.[0]).toMatch(
      /^__Host-refresh_token=rt1_[\w-]{92}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    )
    expect(textOf(await browser.get('/account'))).toContain(email)
    // An app of the client goes on with it.
    const refreshed = await t.refresh(browser.cookie ?? '', { via: 'cookie', headers: { origin: APP } })
    expect(refreshed.json().user.email).toBe(email)
  })

  test('takes no field that its form does not have', async () => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    const answer = await browser.send('/account/sign-in', { email, password, scope: 'orders.write' })
    expect([answer.statusCode, browser.cookie]).toEqual([400, undefined])
  })

  test('keeps the session beyond the browser’s own if asked to, and ends the one that the browser had', async () => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    const first = browser.cookie ?? ''
    const answer = await browser.send('/account/sign-in', { email, password, remember: 'yes' })
    expect(answer.headers['set-cookie']?.[0]).toMatch(/; Max-Age=\d{6,7};/)
    expect((await t.refresh(first, { via: 'cookie' })).statusCode).toBe(401)
  })

  test('makes the browser a known device, which strangers cannot keep out, and of which nobody is told again', async () => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    for (let failed = 0; failed < 5; failed++)
      await openBrowser(t).send('/account/sign-in', { email, password: `${password} ${failed}` })
    expect((await openBrowser(t).send('/account/sign-in', { email, password })).statusCode).toBe(429)
    expect((await browser.send('/account/sign-in', { email, password })).statusCode).toBe(303)
    const user = await t.db.selectFrom('users').select('id').where('email', '=', email).executeTakeFirstOrThrow()
    const told = async () => (await auditOf(t, 'login.new_device')).filter(({ user_id }) => user_id === user.id).length
    expect(await told()).toBe(0)
    await openBrowser(t).send('/account/sign-in', { email, password })
    expect(await told()).toBe(1)
  })

  test('leads back to the site by a page, and says so in the fragment', async () => {
    const { email, password } = await account()
    const answer = await openBrowser(t).send(`/account/sign-in?${BACK}`, { email, password })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers.location).toBeUndefined()
    expect(answer.body).toContain(`<meta http-equiv="refresh" content="0; url=${APP}/#signed-in">`)
    expect(answer.body).toContain(`href="${APP}/#signed-in"`)
  })

  test('refuses alike whatever is wrong, keeps the address and sends no password back', async () => {
    const { email } = await account()
    const wrong = 'ten loud geese march'
    const answers = []
    for (const who of [email, address()]) {
      const answer = await openBrowser(t).send('/account/sign-in', { email: who, password: wrong, remember: 'yes' })
      expect(answer.statusCode).toBe(401)
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm=/)
      expect(answer.headers['set-cookie']).toBeUndefined()
      expect(answer.body).toContain(`value="${who}"`)
      expect(answer.body).toMatch(/name="remember" value="yes" checked/)
      expect(answer.body).not.toContain(wrong)
      answers.push(answer.body.replaceAll(who, 'somebody'))
    }
    expect(answers[0]).toBe(answers[1])
    expect(answers[0]).toContain('role="alert"')
  })

  test.each([
    [{ email: '', password: 'x' }, 'email', 'Please fill this in.'],
    [{ email: 'ada@example.com', password: '' }, 'password', 'Please fill this in.'],
    [{ email: 'no address', password: 'x' }, 'email', 'This is not a valid email address.'],
  ])('tells what is wrong with %j beside the field', async (fields, field, text) => {
    const answer = await openBrowser(t).send('/account/sign-in', fields)
    expect(answer.statusCode).toBe(400)
    expect(answer.body).toMatch(
      RegExp(`<input id="${field}"[^>]* aria-invalid="true" aria-describedby="${field}-fault" autofocus>`),
    )
    expect(answer.body).toContain(`<p class="fault" id="${field}-fault" role="alert">${text}</p>`)
    expect(answer.body).toContain('<title>Error: Sign in')
  })

  test('holds off guessing as the API does, and tells for how long', async () => {
    const { email, password } = await account()
    for (let failed = 0; failed < 5; failed++)
      await openBrowser(t).send('/account/sign-in', { email, password: `${password} ${failed}` })
    const answer = await openBrowser(t).send('/account/sign-in', { email, password })
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '30'])
    expect(textOf(answer)).toContain('Try again in 30 seconds.')
    expect((await t.login({ email, password })).statusCode).toBe(429)
  })

  test('says so where the browser would drop the cookie, and starts no session that nobody could use', async () => {
    const { email, password } = await account()
    await using plain = await createTestApp({ join: t, env: { ISSUER: 'http://auth.test' } })
    const families = () => t.db.selectFrom('families').select('id').orderBy('id').execute()
    const before = await families()
    const answer = await openBrowser(plain).send('/account/sign-in', { email, password })
    expect([answer.statusCode, answer.headers['set-cookie']]).toEqual([403, undefined])
    expect(textOf(answer)).toContain('this page came over plain http')
    expect(await families()).toEqual(before)
  })

  test('does not ask somebody who is signed in, and leads nobody on by itself', async () => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    const answer = await browser.get(`/account/sign-in?${BACK}`)
    expect(textOf(answer)).toContain(`As ${email}.`)
    expect(answer.body).toContain(`href="${APP}/#signed-in"`)
    expect(answer.body).not.toContain('http-equiv')
  })
})

describe('the site to return to', () => {
  test.each([
    'https://evil.example',
    'https://app.example.com.evil.example',
    'https://evil.example/https://app.example.com',
    'https://app.example.com@evil.example',
    'https://app.example.com:443',
    'https://app.example.com:8443',
    'https://app.example.com/',
    'https://app.example.com/path',
    'https://app.example.com/../../evil.example',
    'https://app.example.com?next=https://evil.example',
    'https://app.example.com#@evil.example',
    'https://APP.example.com',
    'http://app.example.com',
    '//app.example.com',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    'https:app.example.com',
    'https:/app.example.com',
    'https:\\\\app.example.com',
    ' https://app.example.com',
    'https://app.example.com\t',
    'https://app.example.com\r\nrefresh: 0;url=https://evil.example',
    'https://app.example.com\u3002evil.example',
    'https://xn--pp-eka.example.com',
    'javascript:alert(1)//https://app.example.com',
    'data:text/html,<script>alert(1)</script>',
    '/account',
    'null',
    '',
  ])('is not %j', async (site) => {
    const { email, password } = await account()
    const path = `/account/sign-in?return_to=${encodeURIComponent(site)}`
    for (const answer of [await openBrowser(t).get(path), await openBrowser(t).send(path, { email, password })]) {
      expect(answer.statusCode).toBe(400)
      expect(textOf(answer)).toContain('is not registered with this service')
      expect(answer.body).not.toContain('evil')
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
  })

  test.each([APP, 'https://auth.example.com'])('may be %s', async (site) => {
    const answer = await openBrowser(t).get(`/account/sign-in?return_to=${encodeURIComponent(site)}`)
    expect(textOf(answer)).toContain(`to continue to ${new URL(site).host}`)
  })

  test('lasts from page to page', async () => {
    const answer = await openBrowser(t).get(`/account/sign-in?${BACK}&theme=dark&ui_locales=de&other=1`)
    const query = 'ui_locales=de&amp;theme=dark&amp;return_to=https%3A%2F%2Fapp.example.com'
    expect(answer.body).toContain(`action="/account/sign-in?${query}"`)
    expect(answer.body).toContain(`href="/account/register?${query}"`)
  })
})

describe('making an account', () => {
  test('signs in to it', async () => {
    const browser = openBrowser(t)
    const email = address()
    const answer = await browser.send('/account/register', { email, password: TEST_PASSWORD })
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/account'])
    expect(textOf(await browser.get('/account'))).toContain(email)
  })

  test.each([
    ['short77', 'Use at least 8 characters.'],
    ['password123', 'This password is too easy to guess.'],
    ['x'.repeat(257), 'Use at most 256 characters.'],
  ])('holds the password to the policy: %s', async (password, text) => {
    const answer = await openBrowser(t).send('/account/register', { email: address(), password })
    expect(answer.statusCode).toBe(400)
    expect(answer.body).toContain(`<p class="fault" id="password-fault" role="alert">${text}`)
  })

  test('is not offered, and not possible, where registration is closed', async () => {
    await using closed = await createTestApp({ join: t, env: { REGISTRATION: 'closed' } })
    expect((await openBrowser(closed).get('/account/sign-in')).body).not.toContain('/account/register')
    const answers = [
      await openBrowser(closed).get('/account/register'),
      await openBrowser(closed).send('/account/register', { email: address(), password: TEST_PASSWORD }),
    ]
    for (const answer of answers) {
      expect(answer.statusCode).toBe(403)
      expect(textOf(answer)).toContain('not open to everyone')
    }
  })
})

describe('signing out', () => {
  test('ends the session and deletes the cookie', async () => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    const token = browser.cookie ?? ''
    const answer = await browser.send('/account/sign-out', {})
    expect(answer.statusCode).toBe(200)
    expect(textOf(answer)).toContain('You are signed out')
    expect(browser.cookie).toBeUndefined()
    expect((await t.refresh(token, { via: 'cookie' })).statusCode).toBe(401)
    expect((await auditOf(t, 'session.ended')).at(-1)).toMatchObject({ reason: 'logout' })
  })
})

describe('forms of other pages', () => {
  const FOREIGN: Record<string, string | undefined>[] = [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    // An app of ours may not send forms for its visitors either.
    { origin: APP, 'sec-fetch-site': 'same-site' },
    // Browsers of before 2023 may not say where a request comes from but by Origin.
    { origin: 'https://evil.example', 'sec-fetch-site': undefined },
    { origin: APP, 'sec-fetch-site': undefined },
    { origin: 'null' },
    { origin: undefined },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
  ]
  test.each(FOREIGN)('sign nobody in, out or up: %j', async (headers) => {
    const { email, password } = await account()
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    const before = await t.db.selectFrom('families').select(['id', 'ended_at']).orderBy('id').execute()
    for (const [path, fields] of [
      ['/account/sign-in', { email, password }],
      ['/account/register', { email: address(), password }],
      ['/account/sign-out', {}],
      ['/account', { others: 'yes' }],
      ['/account/password', { current_password: password, new_password: 'seven brisk herons glide' }],
    ] as const) {
      const answer = await browser.send(path, fields, headers)
      expect([path, answer.statusCode]).toEqual([path, 403])
      expect(answer.headers['content-type']).toMatch(/^text\/html/)
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    expect(await t.db.selectFrom('families').select(['id', 'ended_at']).orderBy('id').execute()).toEqual(before)
  })

  test.each([
    ['application/json', '{"email":"a@example.com","password":"x"}', 415],
    ['text/plain', 'email=a@example.com', 415],
    ['multipart/form-data; boundary=x', 'x', 415],
    ['application/x-www-form-urlencoded; charset=utf-16', 'email=a', 415],
    ['application/x-www-form-urlencoded', 'email=a&email=b', 400],
    ['application/x-www-form-urlencoded', 'email=a&password=b&role=admin', 400],
    ['application/x-www-form-urlencoded', 'email=%ff&password=b', 400],
    ['application/x-www-form-urlencoded', `email=${'a'.repeat(17000)}`, 413],
  ])('a body of type %s is judged strictly: %.40s', async (type, payload, status) => {
    const headers = { origin: 'https://auth.example.com', 'content-type': type }
    const answer = await t.inject({ method: 'POST', url: '/account/sign-in', headers, payload })
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([status, 'text/html; charset=utf-8'])
  })

  test('the API takes no forms', async () => {
    for (const url of ['/login', '/register', '/refresh', '/logout']) {
      const headers = { origin: 'https://auth.example.com', 'content-type': 'application/x-www-form-urlencoded' }
      expect((await t.inject({ method: 'POST', url, headers, payload: 'email=a' })).statusCode).toBe(415)
    }
  })
})

test('a GET changes nothing, not even with a token whose reuse would end the session', async () => {
  const { email, password } = await account()
  const browser = openBrowser(t)
  await browser.send('/account/sign-in', { email, password })
  const first = browser.cookie ?? ''
  const second = (await t.refresh(first, { via: 'cookie' })).cookies[0]?.value ?? ''
  await t.refresh(second, { via: 'cookie' })
  const rows = () => t.db.selectFrom('families').selectAll().orderBy('id').execute()
  const before = await rows()
  browser.cookie = first
  for (const path of ['/account', '/account/sign-in', '/account/password'])
    expect(textOf(await browser.get(path))).not.toContain(email)
  expect(await rows()).toEqual(before)
  const user = await t.db.selectFrom('users').select('id').where('email', '=', email).executeTakeFirstOrThrow()
  expect(await liveFamilies(t, user.id)).toHaveLength(1)
})
