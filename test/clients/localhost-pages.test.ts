import { expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'

// Whoever writes a page has it on some port of localhost, and has not read about settings yet.

const VITE = 'http://localhost:5173'
const PRODUCTION = { NODE_ENV: 'production', ISSUER: 'http://localhost:3000', REGISTRATION: 'open' }

/** Whether a page may sign in, as its browser goes about it; and renew, with the cookie that it then has. */
async function admits(t: TestApp, origin: string, client_id = 'web'): Promise<boolean> {
  const asked = await t.inject({
    method: 'OPTIONS',
    url: '/login',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
  })
  const email = `page-${crypto.randomUUID()}@example.com`
  expect((await t.register(email, TEST_PASSWORD)).statusCode).toBe(201)
  const body = { email, password: TEST_PASSWORD, client_id }
  const answer = await t.login(body, { origin, 'sec-fetch-site': 'same-site' })
  const allowed = asked.headers['access-control-allow-origin'] === origin
  expect(answer.statusCode).toBe(allowed ? 200 : 403)
  if (allowed && client_id === 'web') {
    const [cookie] = answer.cookies
    const headers = { origin, cookie: `${cookie?.name}=${cookie?.value}`, 'sec-fetch-site': 'same-site' }
    expect((await t.inject({ method: 'POST', url: '/refresh', headers })).statusCode).toBe(200)
  }
  return allowed
}

test.each([VITE, 'http://localhost', 'http://localhost:65535'])(
  'in development %s may sign in without a setting',
  async (page) => {
    await using t = await createTestApp()
    expect(await admits(t, page)).toBe(true)
  },
)

test.each([
  'https://localhost:5173',
  'http://localhost.evil.example',
  'http://evil.example:5173',
  'http://app.localhost:5173',
  'http://127.0.0.1:5173',
  'http://localhost:5173.evil.example',
  'http://localhost:',
  'http://LOCALHOST:5173',
  'http://localhost:5173/',
  'null',
])('but not %s', async (page) => {
  await using t = await createTestApp()
  expect(await admits(t, page)).toBe(false)
})

test('whoever states ALLOWED_ORIGINS has said which', async () => {
  await using t = await createTestApp({ env: { ALLOWED_ORIGINS: 'http://localhost:4000' } })
  expect([await admits(t, 'http://localhost:4000'), await admits(t, VITE)]).toEqual([true, false])
})

test('in production none may, unless it is named', async () => {
  await using strict = await createTestApp({ env: PRODUCTION })
  expect(await admits(strict, VITE)).toBe(false)
  await using named = await createTestApp({ join: strict, env: { ALLOWED_ORIGINS: VITE } })
  expect(await admits(named, VITE)).toBe(true)
})

test('a web view on http://localhost stays the one of its native application', async () => {
  await using t = await createTestApp({ env: { NATIVE_ORIGINS: 'http://localhost' } })
  expect(await admits(t, 'http://localhost', 'native')).toBe(true)
  expect(
    (await t.login({ email: 'a@example.com', password: 'x', client_id: 'web' }, { origin: 'http://localhost' }))
      .statusCode,
  ).toBe(403)
  expect(await admits(t, VITE)).toBe(true)
})
