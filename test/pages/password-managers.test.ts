import { expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { openBrowser, textOf } from './support.ts'

const WELL_KNOWN = '/.well-known/change-password'
const APP_URL = 'https://app.example.com/{page}#token={token}'

test('a password manager is led to the page that changes the password, whatever the request says of the host', async () => {
  await using t = await createTestApp()
  const { email } = await t.signUp()
  const browser = openBrowser(t)
  await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })
  const led = await browser.get(WELL_KNOWN, { host: 'evil.example', 'x-forwarded-host': 'evil.example' })
  expect([led.statusCode, led.body]).toEqual([303, ''])
  expect(led.headers).toMatchObject({
    location: `${t.config.ISSUER}/account/password`,
    'cache-control': 'no-store',
    'cross-origin-resource-policy': 'same-origin',
  })
  const page = await browser.get(String(led.headers.location).slice(t.config.ISSUER.length))
  expect([page.statusCode, textOf(page)]).toEqual([200, expect.stringContaining('Current password')])
  const head = await t.inject({ method: 'HEAD', url: WELL_KNOWN })
  expect([head.statusCode, head.headers.location]).toEqual([303, led.headers.location])
})

test.each([
  [{ APP_URL }, 303, 'https://app.example.com/password'],
  [{ APP_URL, PAGES: 'off' }, 303, 'https://app.example.com/password'],
  [{ PAGES: 'off' }, 404, undefined],
])('with %j it is led on: %i to %s', async (env, status, location) => {
  await using t = await createTestApp({ env })
  const answer = await t.inject({ url: WELL_KNOWN })
  expect([answer.statusCode, answer.headers.location]).toEqual([status, location])
})

test('a path that does not exist is not answered 200, which is how managers tell a server that knows the address', async () => {
  await using t = await createTestApp()
  const url = '/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200'
  expect((await t.inject({ url })).statusCode).toBe(404)
})
